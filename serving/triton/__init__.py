"""A FLUX model behind NVIDIA Triton Inference Server: the repository, what its stages run, and the server itself."""
