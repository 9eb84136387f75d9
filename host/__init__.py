"""ComfyUI seen from inside: the only importer of comfy.*, folder_paths, latent_preview and server."""
