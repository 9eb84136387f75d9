"""Means, windows and interpolation over a picture's levels of resolution: what matting is computed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

# Pixels solved at once: a picture of 8,000 pixels a side with hair all over must fit into memory
PIXELS_AT_ONCE = 1 << 20


class Cells(NamedTuple):
    """Squares of 4 x 4 pixels of a level: what is worked on, since only few of them hold an edge."""

    y: torch.Tensor  # [n], in cells
    x: torch.Tensor  # [n]

    def places(self, first: int, count: int, spacing: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows [count, n] and columns [count, n] of the pixels `first` and following of each cell, in a map that has
        `spacing` pixels a cell."""
        import torch

        steps = torch.arange(first, first + count)[:, None]
        return self.y * spacing + steps, self.x * spacing + steps

    def window(self, first: int, count: int, spacing: int, height: int, width: int) -> torch.Tensor:
        """[count * count * n]: where those pixels lie in the flattened map, which goes on at its borders."""
        y, x = self.places(first, count, spacing)
        return ((y.clamp_(0, height - 1) * width)[:, None] + x.clamp_(0, width - 1)).flatten()

    def of(self, maps: torch.Tensor, spacing: int) -> torch.Tensor:
        """[channels, 16, n]: `maps` [channels, h, w] of `spacing` pixels a cell at the cells' own 4 x 4 pixels, bilinear."""
        first, count = (0, 4) if spacing == 4 else (-1, spacing + 2)
        index = self.window(first, count, spacing, *maps.shape[1:])
        windows = maps.flatten(1).index_select(1, index).view(len(maps), count**2, -1)
        return windows if spacing == 4 else interpolate(windows, spacing)

    def pixels(self, image: torch.Tensor) -> torch.Tensor:
        """[3, 16, n] in 0..1: the pixels of `image` [h, w, 3], float in 0..1 or bytes."""
        return colors_at(image, self.window(0, 4, 4, *image.shape[:2])).view(3, 16, -1)

    def split(self) -> list[Cells]:
        """The same in parts that fit into memory."""
        return [Cells(y, x) for y, x in zip(self.y.split(PIXELS_AT_ONCE // 16), self.x.split(PIXELS_AT_ONCE // 16))]


def halved(x: torch.Tensor) -> torch.Tensor:
    """Means of 2 x 2; an odd last row or column counts twice. (avg_pool2d takes five times as long on a CPU.)"""
    import torch.nn.functional as F

    height, width = x.shape[-2:]
    if height % 2 or width % 2:
        x = F.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
    return (x[..., ::2, ::2] + x[..., 1::2, ::2]).add_(x[..., ::2, 1::2]).add_(x[..., 1::2, 1::2]).mul_(0.25)


def box_mean(x: torch.Tensor, radius: int) -> torch.Tensor:
    """Means over squares of 2 * radius + 1, as if the edge pixels went on."""
    import torch.nn.functional as F

    side = 2 * radius + 1
    x = F.pad(x, (radius, radius, radius, radius), mode="replicate")
    rows = x[..., : x.shape[-2] - side + 1, :].clone()
    for start in range(1, side):
        rows += x[..., start : start + rows.shape[-2], :]
    out = rows[..., : x.shape[-1] - side + 1].clone()
    for start in range(1, side):
        out += rows[..., start : start + out.shape[-1]]
    return out.mul_(1 / side**2)


def doubled(x: torch.Tensor) -> torch.Tensor:
    """[N, C, h, w] -> [N, C, 2 h, 2 w], bilinear."""
    import torch.nn.functional as F

    return F.interpolate(x, scale_factor=2, mode="bilinear")


def softened(x: torch.Tensor) -> torch.Tensor:
    """What doubling [1, 1, h, w] by `doubled` and halving it again comes to."""
    import torch.nn.functional as F

    x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    x = (x[..., :-2, :] + x[..., 2:, :]).add_(x[..., 1:-1, :], alpha=6)
    return (x[..., :-2] + x[..., 2:]).add_(x[..., 1:-1], alpha=6).mul_(1 / 64)


def colors_at(image: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """[3, n] in 0..1: `image` [h, w, 3], float in 0..1 or bytes, at `index` [n] of its flattened pixels."""
    import torch

    # Stacked: .t().contiguous() takes five times as long on a CPU.
    found = torch.stack(image.reshape(-1, 3).index_select(0, index).unbind(1))
    return found.float().mul_(1 / 255) if found.dtype == torch.uint8 else found


def interpolate(windows: torch.Tensor, spacing: int) -> torch.Tensor:
    """[channels, 16, n]: the 4 x 4 pixels of each cell from windows [channels, (spacing + 2)**2, n] of a map that has
    `spacing` pixels a cell, and one more on every side."""
    import torch

    return interpolation((torch.arange(4) + 0.5) * spacing / 4 + 0.5, spacing + 2) @ windows


def interpolation(places: torch.Tensor, count: int) -> torch.Tensor:
    """[len(places)**2, count**2]: what bilinear interpolation at a square of `places` takes of a square of pixels."""
    import torch

    weights = (1 - (places[:, None] - torch.arange(count)).abs()).clamp_min(0)
    return torch.kron(weights, weights)


def channel_first(levels: torch.Tensor) -> torch.Tensor:
    """[1, 3, h, w] in 0..1 of bytes [h, w, 3]."""
    import torch

    return torch.stack(levels.unbind(-1))[None].float().mul_(1 / 255)


def widened(x: torch.Tensor, pixels: int) -> torch.Tensor:
    """Bool [h, w]: where any pixel of the square of `pixels` to every side is true."""
    for _ in range(pixels):
        rows = x.clone()
        rows[1:] |= x[:-1]
        rows[:-1] |= x[1:]
        x = rows.clone()
        x[:, 1:] |= rows[:, :-1]
        x[:, :-1] |= rows[:, 1:]
    return x


def filled(sums: torch.Tensor) -> torch.Tensor:
    """Means from weighted sums (channel 0: the weight), taken from farther away the less weight there is: pull-push
    (Gortler et al., The Lumigraph, 1996)."""
    import torch

    weight = sums[:, :1]
    means = sums / weight.clamp_min(1e-6)
    enough = weight * 50
    if max(sums.shape[-2:]) <= 1 or float(enough.min()) >= 1:
        return means
    around = doubled(filled(halved(sums)))[..., : sums.shape[-2], : sums.shape[-1]]
    return torch.lerp(around, means, enough.clamp_(max=1))
