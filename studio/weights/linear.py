"""Linear layers whose weights stay small in memory and are expanded for each use, where nothing streams weights.

ComfyUI's counterpart, which is patched and streamed too, is host/stored_linear.py.
"""

from __future__ import annotations

import torch


class ExpandedLinear(torch.nn.Linear):
    """A linear layer with `stored` (studio/weights/stored.py), `compute_dtype`, and a weight of int8 bytes [rows, bytes]."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out], the same numbers as of a layer whose weight was expanded to `compute_dtype` at once."""
        weight = self.stored.expand(self.weight, self.compute_dtype)  # type: ignore[operator,union-attr]
        return torch.nn.functional.linear(input.to(self.compute_dtype), weight, self.bias)  # type: ignore[arg-type]


def expand_at_use(module: torch.nn.Module) -> torch.nn.Module:
    """Let the layers of `module` whose weights are in a stored format compute, in place."""
    for leaf in module.modules():
        if hasattr(leaf, "stored"):
            leaf.__class__ = ExpandedLinear
    return module
