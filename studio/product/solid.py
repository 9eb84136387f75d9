"""What of a network's mask is surely product: second looks at an unsure picture, and the core that refinement may not thin.

Masks are float32 [h, w] in 0..1, as large as the network gives them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import InputError
from . import outline

if TYPE_CHECKING:
    import numpy as np
    import torch

UNSURE_ALPHA = (0.1, 0.9)  # a network's beliefs between these leave the product see-through
BROAD = 0.02  # of the mask's side: an unsure band wider than this is no soft edge
UNSURE_ENOUGH = 0.02  # broad unsure area, as a share of the product's, from which on the picture is looked at again
HOLE = 0.15  # an enclosed dip of the mask that reaches below this may be a hole, as in a handle; any other is filled
RING = 0.06  # of the mask's side: how wide a ring of background a hole's colour is looked for in
SAME_SURFACE = 0.15  # distance of two colours in 0..1 that may be one surface
SEE_THROUGH = 0.9  # an alpha below this is see-through
SEEN_AGAIN = 0.02  # share of that ring in the hole's colour
# Of the mask's side: how deep inside its outline a product begins to be solid, and is solid
SOLID_DEPTH = (0.012, 0.035)


def unsure_share(mask: np.ndarray) -> float:
    """How much of the product, as a share of its area, lies in unsure areas too broad to be a soft edge."""
    import numpy as np
    from scipy import ndimage

    between = (mask > UNSURE_ALPHA[0]) & (mask < UNSURE_ALPHA[1])
    side = 2 * round(BROAD * max(mask.shape) / 2) + 1
    broad = ndimage.binary_opening(np.pad(between, side, mode="edge"), np.ones((side, side)))
    return float(broad[side:-side, side:-side].sum() / max(1, (mask > UNSURE_ALPHA[0]).sum()))


def found_in_three_views(find: Callable[[torch.Tensor], torch.Tensor], levels: torch.Tensor) -> torch.Tensor:
    """The mask that `find` gives for `levels` uint8 [H, W, 3]; where it is unsure, the most that it sees in three looks.

    In a mirrored and an upside-down picture a network misses other parts of a product than before. Where it finds
    nothing in one of these, that one does not count.
    """
    import torch

    mask = find(levels)
    if unsure_share(mask.numpy()) < UNSURE_ENOUGH:
        return mask
    for axis in (1, 0):
        with contextlib.suppress(InputError):
            mask = torch.maximum(mask, find(levels.flip(axis)).flip(axis))
    return mask


def core(mask: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The least alpha float32 [h, w] that each spot of the product must keep: 0 at its outline, 1 well inside.

    Dips that the product encloses count as product, unless they are holes through which `levels` uint8 [H, W, 3] shows
    what is around it.
    """
    import numpy as np
    from scipy import ndimage

    product = _filled(mask, levels)
    if product.all():
        return np.ones(mask.shape, np.float32)
    near, far = (share * max(mask.shape) for share in SOLID_DEPTH)
    depth = ndimage.distance_transform_edt(product)
    return np.clip((depth - near) / (far - near), 0, 1).astype(np.float32)


def without_dips(alpha: np.ndarray, least: np.ndarray) -> np.ndarray:
    """`alpha` [h, w] solid where it is less in the midst of the product: where no way leads out of it through fainter
    pixels, as ways lead between hairs. `least` [h, w] is above 0 where the product's inside begins.
    """
    import numpy as np
    from scipy import ndimage

    faint, count = ndimage.label(alpha < SEE_THROUGH)
    inside = np.ones(count + 1, bool)
    inside[np.unique(faint[least <= 0])] = False
    inside[0] = False
    return np.where(inside[faint], 1, alpha).astype(np.float32)


def _filled(mask: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Bool [h, w]: the product with the dips that are no holes."""
    import numpy as np
    from PIL import Image
    from scipy import ndimage

    product = mask > 0.5
    dips, _ = ndimage.label(~product)
    outside = outline.at_the_border(dips)
    colors = None
    for number, place in enumerate(ndimage.find_objects(dips), 1):
        dip = dips[place] == number
        if outside[place][dip].any():
            continue
        if mask[place][dip].min() <= HOLE:
            if colors is None:
                small = Image.fromarray(levels).resize(mask.shape[::-1], Image.Resampling.BOX)
                colors = np.asarray(small, np.float32) / 255
            if _is_hole(dips == number, outside, colors):
                continue
        product[place] |= dip
    return product


def _is_hole(dip: np.ndarray, outside: np.ndarray, colors: np.ndarray) -> bool:
    """Whether the colour in `dip` [h, w] also occurs beside the product, as near to the dip as there is any background."""
    import numpy as np
    from scipy import ndimage

    distance = ndimage.distance_transform_edt(~dip)
    if not outside.any():
        return False
    near = outside & (distance <= distance[outside].min() + RING * max(dip.shape))
    apart = np.linalg.norm(colors[near] - np.median(colors[dip], 0), axis=-1)
    return bool((apart < SAME_SURFACE).mean() > SEEN_AGAIN)
