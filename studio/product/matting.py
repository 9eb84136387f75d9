"""From a network's small, soft mask to an edge at the picture's own resolution, and to the product's own colours.

From coarse to fine, each pixel near the edge is explained by two colours: the mean of what is surely product around it
and the mean of what is surely background. Its alpha is where it lies between them, measured along the direction in
which the two differ most for their spread (Fisher's linear discriminant), and weighed against what the coarser level
believed: a clear difference of colour decides, an unclear one leaves the decision to the network. The coarsest level
also asks how often a colour occurs in the whole product and in the whole background, as the network is wrong in
patches there, not only along the edge.

The product's colour F under a pixel I with alpha a is then the least change to the mean colours of product and
background nearby that explains it: |F - F'|^2 + |B - B'|^2 at its least under I = a F + (1 - a) B, as in Forte,
Approximate Fast Foreground Colour Estimation (2021), whose blurred means it uses, with the exact solution for its step.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from ..cancelling import check_cancel
from .pyramid import (
    Cells,
    box_mean,
    channel_first,
    colors_at,
    doubled,
    filled,
    halved,
    interpolate,
    interpolation,
    softened,
    widened,
)
from .solid import core, without_dips

if TYPE_CHECKING:
    import torch


class Matte(NamedTuple):
    """A product's edge and colours."""

    alpha: torch.Tensor  # float32 [H, W] in 0..1, 1 = product
    foreground: torch.Tensor  # float32 [H, W, 3] in 0..1: straight colours, continued beyond the edge


class LevelSettings(NamedTuple):
    """What one level believes. Variances are those of an alpha, so 0.25 is knowing nothing."""

    below: float  # an alpha below this is background, if its neighbourhood agrees
    above: float  # an alpha above this is product
    margin: int  # pixels of a quarter of this level's resolution that a sure pixel keeps from an unsure one
    beside: int  # cells of product beside unsure ones that are solved as well
    radius: int  # windows of the colour means, in pixels of a quarter of this level's resolution
    noise: float  # variance of a colour in 0..1 that is there even in an even surface
    prior: float  # variance of the coarser level's alpha where it is one half
    settled: float  # how much less that is where it is 0 or 1: 0 no less, 1 none left
    color: float  # the least variance that a comparison of colours may claim
    novelty: float  # squared deviations after which a colour counts as belonging to neither side


class Sides(NamedTuple):
    """The colours of product and background around every pixel, at a quarter of a level's resolution."""

    means: torch.Tensor  # [6, h, w]: of the product, of the background
    covariance: torch.Tensor  # [6, h, w], the sum of both: rr, rg, rb, gg, gb, bb
    product: torch.Tensor  # bool [h, w]: surely product
    unsure: torch.Tensor  # bool [h, w]: may be either

    def cells(self) -> Cells:
        """The unsure ones."""
        return Cells(*self.unsure.nonzero().unbind(1))


ROW_CHANNELS, COLUMN_CHANNELS = [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]  # the channels of a covariance's six numbers

# Measured by tests/bench/cutout.py.
COARSE = LevelSettings(
    below=0.03,
    above=0.98,
    margin=1,
    beside=0,
    radius=4,
    noise=0.0003,
    prior=0.04,
    settled=0.99,
    color=1 / 20,
    novelty=0.3,
)
FINE = LevelSettings(
    below=0.04,
    above=0.96,
    margin=0,
    beside=1,
    radius=4,
    noise=0.0005,
    prior=0.16,
    settled=0.98,
    color=1 / 100,
    novelty=3,
)
BINS = 24  # a side of the histograms of whole product and whole background
RARE = 0.001  # share of a side's pixels in a bin at which its word counts half
HISTOGRAM = 0.02  # the variance of an alpha read from a common colour
CONTEXT_MARGIN = 0.06  # of the picture's side: what is looked at around the product
VEIL = 0.03  # alphas so near 0 or 1 are noise
# Pixels: a smaller picture takes hundreds of short operations. Where each is shared out among torch's threads, and one of
# these has to wait for a core that somebody else is using, all of them wait: seconds instead of milliseconds.
SMALL = 4_000_000
_THREADS = threading.Lock()


def refine(picture: torch.Tensor, rounded: torch.Tensor, mask: torch.Tensor) -> Matte:
    """The alpha and the foreground colours of `picture` [H, W, 3] in 0..1, for a network's `mask` [h, w] in 0..1.

    `rounded` is the same picture in 0..255, uint8.
    """
    import torch

    with _THREADS:  # their number is the process's
        threads = torch.get_num_threads()
        torch.set_num_threads(1 if picture.shape[0] * picture.shape[1] <= SMALL else threads)
        try:
            return _refine(picture, rounded, mask)
        finally:
            torch.set_num_threads(threads)


def _refine(picture: torch.Tensor, rounded: torch.Tensor, mask: torch.Tensor) -> Matte:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from PIL import Image

    height, width = picture.shape[:2]
    halvings = 0
    while max(height, width) > 1.6 * max(mask.shape) * 2**halvings:
        halvings += 1
    step = 2**halvings
    alpha = F.interpolate(mask[None, None], size=(-(-height // step), -(-width // step)), mode="bilinear")
    rows, columns = (_around(alpha[0, 0], axis) for axis in (1, 0))
    inside = tuple(slice(part.start * step, part.stop * step) for part in (rows, columns))
    alpha = alpha[..., rows, columns]
    least = torch.from_numpy(core(mask.numpy(), rounded.numpy()))[None, None]
    least = F.interpolate(least, size=(-(-height // step), -(-width // step)), mode="bilinear")[..., rows, columns]
    alpha = torch.maximum(alpha, least)

    image = picture[inside].contiguous()
    smaller = Image.fromarray(rounded[inside].numpy())
    levels = [image]
    for _ in range(halvings + 2):
        smaller = smaller.reduce(2)
        levels.append(torch.from_numpy(np.array(smaller)))
    counted: Histograms | None = _histograms(levels[halvings], alpha[0, 0])
    trust, quarter = COARSE, halved(halved(alpha))
    for index in reversed(range(halvings + 1)):
        check_cancel()
        sides = _sides(channel_first(levels[index + 2]), quarter, trust)
        alpha = _solve(levels[index], alpha, sides, trust, counted)
        alpha = _at_least(alpha, least)
        if counted is not None:
            alpha = torch.from_numpy(without_dips(alpha[0, 0].numpy(), least[0, 0].numpy()))[None, None]
        quarter = halved(softened(alpha))
        counted, trust = None, FINE
    whole = torch.zeros(height, width)
    torch.add(alpha[0, 0], -VEIL, out=whole[inside]).mul_(1 / (1 - 2 * VEIL)).clamp_(0, 1)
    return Matte(whole, _foreground(picture, inside, levels, whole[inside], sides))


def _at_least(alpha: torch.Tensor, least: torch.Tensor) -> torch.Tensor:
    """`alpha` [1, 1, h, w] raised to `least` [1, 1, ...], which is as coarse or coarser."""
    import torch
    import torch.nn.functional as F

    if not bool(least.any()):
        return alpha
    return torch.maximum(alpha, F.interpolate(least, size=alpha.shape[-2:], mode="bilinear"), out=alpha)


def _around(alpha: torch.Tensor, axis: int) -> slice:
    """Where along the other axis of [h, w] there is any product, with enough room for the background's colours."""
    found = (alpha > COARSE.below).numpy().any(axis).nonzero()[0]
    room = CONTEXT_MARGIN * alpha.shape[1 - axis] + 8
    if not len(found):
        return slice(0, alpha.shape[1 - axis])
    return slice(max(0, int(found[0] - room)), min(alpha.shape[1 - axis], int(found[-1] + room + 1)))


def unrefined(picture: torch.Tensor, mask: torch.Tensor) -> Matte:
    """The network's mask at the size of `picture` [H, W, 3], and the photo's own colours."""
    import torch.nn.functional as F

    alpha = F.interpolate(mask[None, None], size=picture.shape[:2], mode="bicubic", antialias=True).clamp(0, 1)
    return Matte(alpha[0, 0], picture)


class Histograms(NamedTuple):
    """How often each colour occurs in the whole product and in the whole background."""

    bins: torch.Tensor  # int [h, w]: the bin of each pixel's colour
    alpha: torch.Tensor  # [BINS**3]: of a colour, as its counts have it
    variance: torch.Tensor  # [BINS**3], of that alpha


def _histograms(image: torch.Tensor, alpha: torch.Tensor) -> Histograms:
    """Of `image` [h, w, 3], float in 0..1 or bytes, whose alpha is about `alpha` [h, w]."""
    import torch

    levels = image if image.dtype == torch.uint8 else (image * 255).round().byte()
    red, green, blue = (levels.int() * BINS >> 8).unbind(-1)
    bins = (red * BINS + green) * BINS + blue
    sides = (alpha > COARSE.above).int() + 2 * (alpha < COARSE.below).int()
    counts = torch.bincount((bins + BINS**3 * sides).flatten(), minlength=3 * BINS**3).view(3, -1)[1:].float()
    counts /= counts.sum(1, keepdim=True).clamp_min(1)
    counts = counts.view(2, BINS, BINS, BINS)
    for axis in (1, 2, 3):  # a bin counts with its neighbours
        around = counts.clone()
        around.narrow(axis, 1, BINS - 1).add_(counts.narrow(axis, 0, BINS - 1))
        around.narrow(axis, 0, BINS - 1).add_(counts.narrow(axis, 1, BINS - 1))
        counts = around
    product, background = counts.flatten(1) / 27
    both = product + background
    return Histograms(bins, product / both.clamp_min(1e-12), HISTOGRAM * (both + RARE) / both.clamp_min(1e-12))


def _sides(quarter: torch.Tensor, alpha: torch.Tensor, trust: LevelSettings) -> Sides:
    """Product and background as they are where they are sure, for a level's picture and alpha at a quarter of its size."""
    import torch

    product = ~widened(alpha[0, 0] < trust.above, trust.margin)
    background = ~widened(alpha[0, 0] > trust.below, trust.margin)
    # A product too thin or too soft to be sure of anywhere is known by its most likely pixels.
    weights = [
        sure[None, None].float() if bool(sure.any()) else likely
        for sure, likely in ((product, alpha), (background, 1 - alpha))
    ]
    moments = torch.cat([torch.ones_like(alpha), quarter, quarter[:, ROW_CHANNELS] * quarter[:, COLUMN_CHANNELS]], 1)
    # Windows of several pixels are as well seen, and four times as fast, at half the size again.
    height, width = alpha.shape[-2:]
    sums = box_mean(halved(moments * torch.cat(weights)), trust.radius // 2)
    _, means, products = filled(sums).split([1, 3, 6], 1)
    covariance = (products - means[:, ROW_CHANNELS] * means[:, COLUMN_CHANNELS]).sum(0, keepdim=True)
    known = doubled(torch.cat([means.flatten(0, 1)[None], covariance], 1))[0, :, :height, :width]
    means, covariance = known[:6], known[6:]
    # Cells beside the edge are worked on too: a coarser level's pixel may end where its product's shadow has begun.
    beside = widened(~product, trust.beside)
    return Sides(means, covariance, ~beside, beside & ~background)


def _solve(
    image: torch.Tensor,
    prior: torch.Tensor,
    sides: Sides,
    trust: LevelSettings,
    counted: Histograms | None,
) -> torch.Tensor:
    """Alpha [1, 1, h, w] of `image` [h, w, 3]: each sure cell 0 or 1, each pixel of an unsure one weighed between the
    colours and the prior [1, 1, ...], which is as large as the picture, or half as large."""
    import torch

    height, width = image.shape[:2]
    rows, columns = sides.product.shape
    alpha = torch.empty(rows, 4, columns * 4)
    alpha.copy_(sides.product.repeat_interleave(4, 1)[:, None])
    known = torch.cat([sides.means, sides.covariance])
    spacing = 4 if prior.shape[-2:] == image.shape[:2] else 2
    for cells in sides.cells().split():
        check_cancel()
        around = cells.of(known, 1)
        of_product, of_background, covariance = around[:3], around[3:6], around[6:]
        inverse = _inverse(covariance, trust.noise)
        apart = of_product - of_background
        direction = _times(inverse, apart)
        separation = (direction * apart).sum(0).clamp_min(1e-6)  # 1 / variance of an alpha read from the colour
        color = cells.pixels(image) - of_background
        read = ((direction * color).sum(0) / separation).clamp(0, 1)
        rest = color - read * apart  # what no mixture of the two explains
        strange = (_times(inverse, rest) * rest).sum(0)
        # 6: twice what three channels of pure noise come to.
        separation = separation / (1 + (strange - 6).clamp_min(0) / trust.novelty) ** 2
        separation = separation.clamp(max=1 / trust.color)

        believed = cells.of(prior[0], spacing)[0]
        open_ = 4 * believed * (1 - believed)
        precision = 1 / (trust.prior * (1 - trust.settled + trust.settled * open_))
        total, weight = separation * read + precision * believed, separation + precision
        if counted is not None:
            bins = cells.of(counted.bins[None], 4)[0]
            variance = counted.variance[bins]
            total, weight = total + counted.alpha[bins] / variance, weight + 1 / variance
        alpha.view(rows, 4, columns, 4)[cells.y, :, cells.x] = (total / weight).t().reshape(-1, 4, 4)
    return alpha.view(1, 1, rows * 4, columns * 4)[..., :height, :width]


def _inverse(covariance: torch.Tensor, noise: float) -> torch.Tensor:
    """[6, N] of the symmetric 3 x 3 matrices [6, N] with `noise` added to their diagonals (by cofactors)."""
    import torch

    a, b, c, d, e, f = covariance
    a, d, f = a + noise, d + noise, f + noise
    rows = torch.stack([d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b])
    return rows / (a * rows[0] + b * rows[1] + c * rows[2]).clamp_min(1e-12)


def _times(matrix: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """Symmetric 3 x 3 matrices [6, N] times vectors [3, N]."""
    import torch

    a, b, c, d, e, f = matrix
    x, y, z = vector
    return torch.stack([a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z])


def _pure(share: torch.Tensor) -> torch.Tensor:
    """Of an alpha (of 1 - alpha), how much a pixel counts as the product's (the background's) colour: the sixth power."""
    return (share * share * share).square_()


def _foreground(
    picture: torch.Tensor, inside: tuple[slice, ...], levels: list[torch.Tensor], alpha: torch.Tensor, sides: Sides
) -> torch.Tensor:
    """[H, W, 3]: the photo's own pixels where alpha is 1, the product's colours continued where it is less.

    `inside` is where the levels and the alpha lie in the picture.
    """
    import numpy as np
    import torch

    half = halved(alpha[None, None])
    share = halved(half)
    quarter = channel_first(levels[2])
    weights = _pure(torch.cat([share, 1 - share]))
    means = filled(box_mean(torch.cat([weights, quarter * weights], 1), 1))[:, 1:].flatten(0, 1)

    # Of numpy, which asks for huge pages: torch does not.
    foreground = torch.from_numpy(np.empty(picture.shape, np.float32))
    far = torch.from_numpy(np.stack(means[:3].numpy(), -1).repeat(4, 1)).flatten(1)
    row = means[:3, 0, 0].repeat(picture.shape[1])
    top, left, bottom, right = inside[0].start, inside[1].start, inside[0].stop, inside[1].stop
    for part in (foreground[:top], foreground[bottom:], foreground[top:bottom, :left], foreground[top:bottom, right:]):
        part.flatten(1).copy_(row[: part.shape[1] * 3])
    near = torch.from_numpy((sides.product | sides.unsure).numpy().repeat(12, 1))
    for start in range(4):
        part = foreground[inside][start::4].flatten(1)
        here = slice(len(part)), slice(part.shape[1])
        torch.where(near[here], levels[0][start::4].flatten(1), far[here], out=part)

    for cells in sides.cells().split():
        check_cancel()
        # The means of 3 x 3 at half resolution; where they hold too little of a side, those from farther away.
        window = cells.window(-2, 6, 2, *half.shape[-2:])
        share = half.flatten().index_select(0, window)
        color = colors_at(levels[1], window)
        weights = _pure(torch.stack([share, 1 - share]))
        sums = torch.cat([weights[:, None], color * weights[:, None]], 1).view(2, 4, 6, 6, -1)
        sums = sums[:, :, :-2] + sums[:, :, 1:-1] + sums[:, :, 2:]
        sums = (sums[..., :-2, :] + sums[..., 1:-1, :] + sums[..., 2:, :]).mul_(1 / 9).flatten(2, 3)
        wide = means.flatten(1).index_select(1, cells.window(-1, 3, 1, *means.shape[1:])).view(6, 9, -1)
        wide = interpolation((torch.arange(4) + 0.5) / 2, 3) @ wide
        local = sums[:, 1:] / sums[:, :1].clamp_min(1e-6)
        local = torch.lerp(wide.view_as(local), local, (sums[:, :1] * 50).clamp(max=1)).flatten(0, 1)
        of_product, of_background = interpolate(local, 2).split(3)
        pixels, share = cells.pixels(levels[0]), cells.of(alpha[None], 4)
        rest = pixels - share * of_product - (1 - share) * of_background
        colors = (of_product + share / (share**2 + (1 - share) ** 2) * rest).clamp_(0, 1)
        colors = torch.where(share == 1, pixels, colors)
        y, x = cells.places(0, 4, 4)
        there = ((y < alpha.shape[0])[:, None] & (x < alpha.shape[1])).flatten().nonzero()[:, 0]
        index = (((y + top) * picture.shape[1])[:, None] + (x + left)).flatten()[there]
        foreground.view(-1, 3).index_copy_(0, index, colors.flatten(1).index_select(1, there).t())
    return foreground
