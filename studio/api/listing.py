"""A product photo -> the main picture of a marketplace's listing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..product import shadow
from ..product.cutout import Edges
from ..product.packshot import PackshotWish, packshots
from .advertise import cut_out_photo
from .draw import require_several
from .load import Cutter, as_cutter
from .result import Progress, Result, StageClock

if TYPE_CHECKING:
    from ..images import Picture


def product_on_white(
    photo: Picture,
    marketplaces: str | Sequence[str] = "Amazon",
    *,
    fill: float = 0.0,
    shadow: str = shadow.NONE,
    edges: Edges = Edges(),  # noqa: B008, frozen
    cutter: Cutter | str | Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Result]:
    """The product of a photo alone on pure white, a square picture for each marketplace, by its name. Needs no model.

    marketplaces: names of `MARKETPLACES` in studio/product/packshot.py, which says size and share of each and where that
    is written. fill: %, of the picture's side that the product's longer side takes; 0 is what the marketplace asks for.
    shadow: none, contact or drop; left out, with a note, where the marketplace allows none. The other inputs are those of
    `product_composite`. Raises InputError for what is none of these, before the photo is read.
    """
    names = [marketplaces] if isinstance(marketplaces, str) else marketplaces
    require_several("marketplaces", names)
    wish = PackshotWish(tuple(names), fill, shadow)
    if not isinstance(edges, Edges):
        raise InputError("edges", edges, "Edges(...)")
    clock = StageClock(progress)
    cut = cut_out_photo(photo, as_cutter(cutter), edges, clock)
    with clock.stage("place"):
        shots = packshots(cut.foreground, cut.alpha, wish)
    for note in shots.notes:
        clock.note(note)
    return {name: Result(image, clock.report()) for name, image in zip(shots.names, shots.images)}
