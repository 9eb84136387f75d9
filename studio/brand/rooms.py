"""Room in a plan for what a brand lays on the finished picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..images import require_mask
from ..layout.room import outline_boxes
from ..layout.spots import AUTO, Ask, reserve
from .badge import badge_ask
from .brand import Brand, branded_layout
from .call import call_ask
from .designs import Badge, CallToAction, LogoDesign
from .laid import pictures_of
from .logo import brand_logos, logo_ask

if TYPE_CHECKING:
    import torch

    from ..canvas import Box
    from ..layout.layout import Layout


class Extras(NamedTuple):
    """What comes beside product and headline."""

    brand: Brand | None = None
    badge: Badge | None = None
    call: CallToAction | None = None
    logo: LogoDesign = LogoDesign()

    def headline(self, words: str) -> str:
        """What a plan is to make room for: the words, and a line for the call to action under them."""
        return f"{words}\n{self.call.text}" if self.call is not None and words.strip() else words


def extras_of(brand: Any, badge: str, call: str) -> Extras:
    """From a node's inputs: empty texts ask for nothing. Raises InputError for what is no Brand, and for texts that cannot be
    written."""
    from .brand import require_brand

    return Extras(
        None if brand is None else require_brand("brand", brand),
        Badge(badge) if badge.strip() else None,
        CallToAction(call) if call.strip() else None,
    )


def with_rooms(layout: Layout, background: torch.Tensor, masks: Sequence[torch.Tensor], extras: Extras) -> Layout:
    """The plan with room for logo, badge and call to action, and with the brand's colours for the words.

    `masks` are those of the products that it was made for, in its order; their outlines count, not their boxes.
    """
    if extras == Extras():
        return layout
    picture = pictures_of(background)[0].numpy()
    width, height = layout.width, layout.height
    asks: list[Ask] = []
    if extras.call is not None:
        asks.append(call_ask(extras.call, width, height))
    if extras.brand is not None and extras.brand.on_light is not None:
        asks.append(logo_ask(brand_logos(extras.brand)[0].aspect, extras.logo, width, height))
    if extras.badge is not None:
        asks.append(badge_ask(extras.badge, width, height))
    layout = reserve(layout, picture, [ask for ask in asks if ask.anchor == AUTO], _outlines(layout, masks))
    return branded_layout(layout, picture, extras.brand)


def _outlines(layout: Layout, masks: Sequence[torch.Tensor]) -> list[Box]:
    """The products' outlines where the plan has them; none where one box is for several products."""
    import numpy as np

    from ..canvas import LEAST_ALPHA, Box

    products = [mask for batch in masks for mask in require_mask("product_mask", batch)]
    if len(products) != len(layout.products):
        return []
    found = []
    for mask, box in zip(products, layout.products):
        rows, columns = np.flatnonzero((mask > LEAST_ALPHA).any(1)), np.flatnonzero((mask > LEAST_ALPHA).any(0))
        across, down = box.width / (columns[-1] + 1 - columns[0]), box.height / (rows[-1] + 1 - rows[0])
        for part in outline_boxes(mask):
            x, y = box.x + (part.x - columns[0]) * across, box.y + (part.y - rows[0]) * down
            found.append(Box(round(x), round(y), round(part.width * across) + 1, round(part.height * down) + 1))
    return found
