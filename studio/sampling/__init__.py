"""From words to a picture: encode, schedule, noise, the loop, references, acceleration."""
