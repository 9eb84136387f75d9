"""A product alone on pure white, as large as a marketplace asks for: the main picture of a listing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..canvas import LEAST_ALPHA, cut_sides
from ..errors import InputError, listed, require_fields, require_one_of
from ..images import require_colors, require_mask, require_one_each
from . import shadow
from .place import place
from .placement import Placement

if TYPE_CHECKING:
    import numpy as np
    import torch

NO_MARKETPLACE = "none"
MATTE_HAZE = 3 / 255  # alpha below this is haze of the matte: white must be 255 in every channel
SHADOWS = (shadow.NONE, shadow.CONTACT, shadow.DROP)
FILLS = (0.0, 100.0)  # %; 0: as the marketplace asks


class Marketplace(NamedTuple):
    """What a marketplace asks of a listing's main picture, as its help pages had it in November 2026."""

    side: int  # pixels; the picture is square
    fill: float  # %; of the picture's side that the longer side of the product takes
    allows_shadow: bool
    source: str  # where the rule is written


_CAFE24 = "support.cafe24.com: 마켓별 상품목록 이미지(대표이미지)의 등록 규정"
MARKETPLACES = {
    # Amazon: white (255, 255, 255), at least 85 % of the frame, no words; zoom from 1,000 pixels, 2,000 are advised.
    "Amazon": Marketplace(2000, 88, True, "sellercentral.amazon.com: Product image guide"),
    "Etsy": Marketplace(2000, 80, True, "help.etsy.com: Requirements and best practices for images"),
    "Shopify": Marketplace(2048, 80, True, "help.shopify.com: Product media types"),
    "Naver Smart Store": Marketplace(1000, 80, True, "네이버 스마트스토어센터: 대표이미지 등록 기준"),
    # Coupang, since May 2025: white, at least 85 % of the frame, in the middle; no words, frames or shadows.
    "Coupang": Marketplace(1000, 88, False, "쿠팡 WING: 대표이미지 가이드"),
    "11st": Marketplace(1000, 80, True, _CAFE24),
    "Gmarket, Auction": Marketplace(1000, 80, True, _CAFE24),
    "Kakao Talk Store": Marketplace(750, 80, True, _CAFE24),
}


class Packshots(NamedTuple):
    """A picture a marketplace of each product."""

    images: list[torch.Tensor]  # IMAGE [B, side, side, 3] of each marketplace
    names: list[str]  # the marketplaces
    notes: list[str]  # sentences for the user


@dataclass(frozen=True)
class PackshotWish:
    """What a user asks of the pictures. Raises InputError for what is none of its choices or out of range."""

    marketplaces: tuple[str, ...] = ("Amazon",)  # of MARKETPLACES, or "none"
    fill: float = 0.0  # %, of the picture's side that the product's longer side takes; 0: as the marketplace asks
    shadow: str = shadow.NONE  # one of SHADOWS; left out where a marketplace allows none

    def __post_init__(self) -> None:
        require_fields(self, {"shadow": SHADOWS}, {"fill": FILLS})
        for name in self.marketplaces:
            require_one_of("marketplace", name, (NO_MARKETPLACE, *MARKETPLACES))
        if not self.chosen:
            raise InputError(
                "marketplace_1", NO_MARKETPLACE, "a marketplace in at least one of them: " + listed(MARKETPLACES)
            )

    @property
    def chosen(self) -> list[str]:
        """The marketplaces, each once, in order."""
        return [name for name in dict.fromkeys(self.marketplaces) if name != NO_MARKETPLACE]


def packshots(product: torch.Tensor, mask: torch.Tensor, wish: PackshotWish) -> Packshots:
    """Each product [B, h, w, 3] with its matte [B or 1, h, w] alone on white, once for each marketplace.

    Raises InputError as `place` does.
    """
    import torch

    pictures, mattes = require_colors("product", product), require_mask("product_mask", mask)
    require_one_each("product_mask", mattes, len(pictures), pictures.shape[2], pictures.shape[1], "product")
    largest = max(MARKETPLACES[name].side for name in wish.chosen)
    images, notes = [], []
    for name in wish.chosen:
        market = MARKETPLACES[name]
        shown = wish.shadow if market.allows_shadow else shadow.NONE
        rows = []
        for index in range(len(pictures)):
            alpha = mattes[index if len(mattes) > 1 else 0]
            placement = _placement(alpha, wish.fill or market.fill, shown)
            clear = torch.from_numpy(alpha * (alpha > MATTE_HAZE))[None]
            white = torch.ones(1, market.side, market.side, 3)
            placed = place(white, pictures[index : index + 1], clear, placement)
            rows.append(placed.image)
            # The smaller pictures say the same of the product, or less.
            notes += [*placed.notes, *_notes(alpha)] if market.side == largest else []
        if shown != wish.shadow:
            notes.append(f"{name} allows no shadow: none is drawn.")
        images.append(torch.cat(rows))
    return Packshots(images, wish.chosen, list(dict.fromkeys(notes)))


def _placement(alpha: np.ndarray, fill: float, kind: str) -> Placement:
    """In the middle; at the frame where the photo cuts the product off, since a flat cut in the white looks like a fault."""
    import numpy as np

    rows, columns = (np.flatnonzero((alpha > LEAST_ALPHA).any(axis)) for axis in (1, 0))
    if not len(rows):
        raise InputError("product_mask", "empty", "a mask with a product in it (1 = product)")
    high, wide = int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)
    right, down = (
        (100 - fill * length / max(high, wide)) / 2 for length in (wide, high)
    )  # from the middle to the frame
    cut = cut_sides(alpha)
    return Placement(
        anchor="center",
        scale=fill,
        offset_x=right * (("right" in cut) - ("left" in cut)),
        offset_y=down * (("bottom" in cut) - ("top" in cut)),
        shadow=kind,
        color_match=0.0,
    )


def _notes(alpha: np.ndarray) -> list[str]:
    cut = cut_sides(alpha)
    if not cut:
        return []
    return [f"the photo cuts the product off at the {' and '.join(sorted(cut))}. Take a photo that shows all of it."]
