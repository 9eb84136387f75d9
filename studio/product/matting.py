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

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch


class Matte(NamedTuple):
    alpha: torch.Tensor  # float32 [H, W] in 0..1, 1 = product
    foreground: torch.Tensor  # float32 [H, W, 3] in 0..1: straight colours, continued beyond the edge


class Trust(NamedTuple):
    """What one level believes. Variances are those of an alpha, so 0.25 is knowing nothing."""

    below: float  # an alpha below this is background, if its neighbourhood agrees
    above: float  # an alpha above this is product
    margin: int  # pixels of a quarter of this level's resolution that a sure pixel keeps from an unsure one
    radius: int  # windows of the colour means, in pixels of a quarter of this level's resolution
    noise: float  # variance of a colour in 0..1 that is there even in an even surface
    prior: float  # variance of the coarser level's alpha where it is one half
    settled: float  # how much less that is where it is 0 or 1: 0 no less, 1 none left
    color: float  # the least variance that a comparison of colours may claim
    novelty: float  # squared deviations after which a colour counts as belonging to neither side


class Sides(NamedTuple):
    """The colours of product and background around every pixel, at a quarter of a level's resolution."""

    means: torch.Tensor  # [1, 6, h, w]: of the product, of the background
    covariance: torch.Tensor  # [1, 6, h, w], the sum of both: rr, rg, rb, gg, gb, bb
    unsure: torch.Tensor  # [1, 1, h, w]: 1 where a pixel may be either, else 0


FIRST, SECOND = [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]  # the channels of a covariance's six numbers

# Measured by tests/bench/cutout.py.
COARSE = Trust(0.03, 0.98, 1, 4, 0.0003, 0.04, 0.99, 1 / 20, 0.3)
FINE = Trust(0.04, 0.96, 0, 4, 0.0005, 0.16, 0.98, 1 / 100, 3)
BINS = 24  # a side of the histograms of whole product and whole background
RARE = 0.001  # share of a side's pixels in a bin at which its word counts half
HISTOGRAM = 0.02  # the variance of an alpha read from a common colour
PURE = 6  # the power of alpha (of 1 - alpha) by which a pixel counts as the product's (the background's) colour
MARGIN = 0.06  # of the picture's side: what is looked at around the product
VEIL = 0.03  # alphas so near 0 or 1 are noise
CHUNK = 1 << 20  # pixels solved at once: a picture of 8,000 pixels a side with hair all over must fit into memory


def refine(picture: torch.Tensor, mask: torch.Tensor) -> Matte:
    """The alpha and the foreground colours of `picture` [H, W, 3] in 0..1, for a network's `mask` [h, w] in 0..1."""
    import torch
    import torch.nn.functional as F

    height, width = picture.shape[:2]
    halvings = 0
    while max(height, width) > 1.6 * max(mask.shape) * 2**halvings:
        halvings += 1
    step = 2**halvings
    alpha = F.interpolate(mask[None, None], size=(-(-height // step), -(-width // step)), mode="bilinear")
    rows, columns = (_around(alpha[0, 0], axis) for axis in (1, 0))
    inside = tuple(slice(part.start * step, part.stop * step) for part in (rows, columns))
    alpha = alpha[..., rows, columns]

    levels = [picture[inside].movedim(-1, 0)[None].contiguous()]
    for _ in range(halvings + 2):
        levels.append(_half(levels[-1]))
    counted: tuple[torch.Tensor, torch.Tensor] | None = _histograms(levels[halvings], alpha)
    trust = COARSE
    for index in reversed(range(halvings + 1)):
        sides = _sides(levels[index + 2], _half(_half(alpha)), trust)
        alpha = _solve(levels[index], alpha, sides, trust, counted)
        if index:
            alpha = _double(alpha)[..., : levels[index - 1].shape[-2], : levels[index - 1].shape[-1]]
        counted, trust = None, FINE
    alpha = ((alpha - VEIL) / (1 - 2 * VEIL)).clamp(0, 1)
    colors = _foreground(levels[0], levels[1], alpha)[0].movedim(0, -1)
    whole = torch.zeros(height, width)
    whole[inside] = alpha[0, 0]
    foreground = colors[0, 0].expand(height, width, 3).contiguous()
    foreground[inside] = colors
    return Matte(whole, foreground)


def _around(alpha: torch.Tensor, axis: int) -> slice:
    """Where along the other axis of [h, w] there is any product, with enough room for the background's colours."""
    found = (alpha > COARSE.below).any(axis).nonzero()
    room = MARGIN * alpha.shape[1 - axis] + 8
    if not len(found):
        return slice(0, alpha.shape[1 - axis])
    return slice(max(0, int(found[0] - room)), min(alpha.shape[1 - axis], int(found[-1] + room + 1)))


def unrefined(picture: torch.Tensor, mask: torch.Tensor) -> Matte:
    """The network's mask at the size of `picture` [H, W, 3], and the photo's own colours."""
    import torch.nn.functional as F

    alpha = F.interpolate(mask[None, None], size=picture.shape[:2], mode="bicubic", antialias=True).clamp(0, 1)
    return Matte(alpha[0, 0], picture)


def _half(x: torch.Tensor) -> torch.Tensor:
    """Means of 2 x 2; an odd last row or column counts twice. (avg_pool2d takes five times as long on a CPU.)"""
    import torch.nn.functional as F

    height, width = x.shape[-2:]
    if height % 2 or width % 2:
        x = F.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
    return (x[..., ::2, ::2] + x[..., 1::2, ::2]).add_(x[..., ::2, 1::2]).add_(x[..., 1::2, 1::2]).mul_(0.25)


def _box(x: torch.Tensor, radius: int) -> torch.Tensor:
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


def _double(x: torch.Tensor) -> torch.Tensor:
    import torch.nn.functional as F

    return F.interpolate(x, scale_factor=2, mode="bilinear")


def _widened(x: torch.Tensor, radius: int) -> torch.Tensor:
    import torch.nn.functional as F

    side = 2 * radius + 1
    return F.max_pool2d(F.max_pool2d(x, (side, 1), 1, (radius, 0)), (1, side), 1, (0, radius))


def _histograms(image: torch.Tensor, alpha: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Alpha [H * W] as the colours of whole product and whole background have it, and its variance."""
    import torch
    import torch.nn.functional as F

    red, green, blue = (image[0] * BINS).long().clamp(0, BINS - 1).flatten(1)
    bins = (red * BINS + green) * BINS + blue

    def share(sure: torch.Tensor) -> torch.Tensor:
        weights = sure.flatten().float()
        counts = torch.bincount(bins, weights=weights, minlength=BINS**3).float() / weights.sum().clamp_min(1)
        return F.avg_pool3d(counts.view(1, 1, BINS, BINS, BINS), 3, 1, 1).flatten()[bins]

    product, background = share(alpha > COARSE.above), share(alpha < COARSE.below)
    both = product + background
    return product / both.clamp_min(1e-12), HISTOGRAM * (both + RARE) / both.clamp_min(1e-12)


def _sides(quarter: torch.Tensor, alpha: torch.Tensor, trust: Trust) -> Sides:
    """Product and background as they are where they are sure, for a level's picture and alpha at a quarter of its size."""
    import torch

    product = 1 - _widened((alpha < trust.above).float(), trust.margin)
    background = 1 - _widened((alpha > trust.below).float(), trust.margin)
    # A product too thin or too soft to be sure of anywhere is known by its most likely pixels.
    weights = [product if bool(product.any()) else alpha, background if bool(background.any()) else 1 - alpha]
    moments = torch.cat([torch.ones_like(alpha), quarter, quarter[:, FIRST] * quarter[:, SECOND]], 1)
    _, means, products = _filled(_box(moments * torch.cat(weights), trust.radius)).split([1, 3, 6], 1)
    covariance = (products - means[:, FIRST] * means[:, SECOND]).sum(0, keepdim=True)
    return Sides(means.flatten(0, 1)[None], covariance, 1 - product - background)


def _filled(sums: torch.Tensor) -> torch.Tensor:
    """Means from weighted sums (channel 0: the weight), taken from farther away the less weight there is: pull-push
    (Gortler et al., The Lumigraph, 1996)."""
    import torch

    weight = sums[:, :1]
    means = sums / weight.clamp_min(1e-6)
    if max(sums.shape[-2:]) <= 1:
        return means
    around = _double(_filled(_half(sums)))[..., : sums.shape[-2], : sums.shape[-1]]
    return torch.lerp(around, means, (weight * 50).clamp(max=1))


def _sampled(coarse: torch.Tensor, scale: int, index: torch.Tensor, width: int) -> torch.Tensor:
    """[channels, pixels]: a map of 1 / `scale` of the resolution at the pixels `index` of a picture `width` wide."""
    import torch
    import torch.nn.functional as F

    x, y = index % width, torch.div(index, width, rounding_mode="floor")
    grid = torch.stack([(x + 0.5) * 2 / scale / coarse.shape[-1] - 1, (y + 0.5) * 2 / scale / coarse.shape[-2] - 1], -1)
    return F.grid_sample(coarse, grid[None, None], padding_mode="border", align_corners=False)[0, :, 0]


def _solve(
    image: torch.Tensor,
    prior: torch.Tensor,
    sides: Sides,
    trust: Trust,
    counted: tuple[torch.Tensor, torch.Tensor] | None,
) -> torch.Tensor:
    """Alpha [1, 1, H, W]: the prior, each sure pixel made 0 or 1 and each unsure one weighed against the colours."""
    import torch
    import torch.nn.functional as F

    height, width = image.shape[-2:]
    pixels, alpha = image.flatten(2)[0], (prior > 0.5).float().flatten()
    known = torch.cat([sides.means, sides.covariance], 1)
    unsure = F.interpolate(sides.unsure, scale_factor=4, mode="nearest")[0, 0, :height, :width]
    for index in unsure.flatten().nonzero()[:, 0].split(CHUNK):
        around = _sampled(known, 4, index, width)
        of_product, of_background, covariance = around[:3], around[3:6], around[6:]
        inverse = _inverse(covariance, trust.noise)
        apart = of_product - of_background
        direction = _times(inverse, apart)
        separation = (direction * apart).sum(0).clamp_min(1e-6)  # 1 / variance of an alpha read from the colour
        color = pixels[:, index] - of_background
        read = ((direction * color).sum(0) / separation).clamp(0, 1)
        rest = color - read * apart  # what no mixture of the two explains
        strange = (_times(inverse, rest) * rest).sum(0)
        # 6: twice what three channels of pure noise come to.
        separation = separation / (1 + (strange - 6).clamp_min(0) / trust.novelty) ** 2
        separation = separation.clamp(max=1 / trust.color)

        believed = prior.flatten()[index]
        open_ = 4 * believed * (1 - believed)
        precision = 1 / (trust.prior * (1 - trust.settled + trust.settled * open_))
        total, weight = separation * read + precision * believed, separation + precision
        if counted is not None:
            total, weight = total + counted[0][index] / counted[1][index], weight + 1 / counted[1][index]
        alpha[index] = total / weight
    return alpha.view(1, 1, height, width)


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


def _foreground(image: torch.Tensor, half: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """[1, 3, H, W]: the photo's own pixels where alpha is 1, the product's colours continued where it is less."""
    import torch
    import torch.nn.functional as F

    height, width = image.shape[-2:]
    share = _half(alpha)
    weights = torch.cat([share, 1 - share]) ** PURE
    means = _filled(_box(torch.cat([weights, half * weights], 1), 1))[:, 1:].flatten(0, 1)[None]
    foreground = torch.where(alpha == 1, image, F.interpolate(means[:, :3], scale_factor=2)[..., :height, :width])
    pixels, out = image.flatten(2)[0], foreground.view(3, -1)
    for index in ((alpha > 0) & (alpha < 1)).flatten().nonzero()[:, 0].split(CHUNK):
        of_product, of_background = _sampled(means, 2, index, width).split(3)
        share = alpha.flatten()[index]
        rest = pixels[:, index] - share * of_product - (1 - share) * of_background
        out[:, index] = (of_product + share / (share**2 + (1 - share) ** 2) * rest).clamp(0, 1)
    return foreground
