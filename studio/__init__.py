"""The craft: torch, Pillow, diffusers and transformers. Imports no ComfyUI, no nodes and no host."""
