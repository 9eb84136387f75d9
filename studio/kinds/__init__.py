"""What is true of each kind of model: its facts, the names of its weights in files, and the call of its transformer."""
