"""Files and folders of models: what is in them, and the modules made of it."""
