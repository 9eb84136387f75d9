"""Where product and words go."""
