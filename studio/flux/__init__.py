"""FLUX models as diffusers has them: facts, files, text, steps, pictures."""
