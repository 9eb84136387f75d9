"""One picture, drawn anew at every call: ComfyUI keeps what earlier prompts made, and would show the first file again."""

from __future__ import annotations

import numpy as np
from comfyui import node, text_to_image

WORDS, SEED = "a red mug on a wooden table", 5
DRAWS = {"2", "4", "5"}  # encode, sample, decode of workflows/api/text_to_image.json


def drawn(server, number: int) -> np.ndarray:
    """uint8 [1, 64, 64, 3], the same for every `number`, which must be another each time.

    A text that is not in the prompt is replaced in it, so that every node behind the loader runs again. The loaded model
    stays: what an attack leaves in it is seen.
    """
    words = node("StringReplace", string=WORDS, find=f"<{number}>", replace="")
    result = server.run(
        text_to_image({"words": words}, Encode={"prompt": ["words", 0]}, Sample={"seed": SEED, "steps": 2})
    )
    assert result.ok, result.error
    (kept,) = [body["nodes"] for kind, body in result.history["status"]["messages"] if kind == "execution_cached"]
    assert not DRAWS & set(kept), f"{kept} did not run again, so that nothing was compared"
    return result.pixels()
