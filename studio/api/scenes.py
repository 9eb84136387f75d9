"""A scene of the bank, and an advertisement from a photo and a sentence on one. Neither needs a model that draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..brand.brand import Brand
from ..brand.designs import Badge, CallToAction
from ..errors import InputError
from ..layout.options import AS_PICTURE
from ..product.cutout import Edges
from ..product.placement import Placement
from ..prompt import advert, presets
from ..scenes import bank
from ..scenes.choose import AUTO, Chosen, SceneQuery, choose
from ..scenes.picture import BankPicture, frame
from ..scenes.viewpoint import as_photographed
from ..text.design import Design
from ..text.fonts import BUNDLED as BUNDLED_FONT
from .advertise import product_composite
from .draw import require_several
from .drawing import require_words
from .load import Cutter
from .result import Progress, Result

if TYPE_CHECKING:
    from ..images import Picture


def find_scene(
    words: str = "",
    *,
    format: str = "1:1 feed",
    trade: str = AUTO,
    setting: str = AUTO,
    palette: str = AUTO,
    light: str = AUTO,
    scene: str = AUTO,
    view: str = AUTO,
    seed: int = 0,
    scene_folders: Sequence[str | Path] = (),
) -> BankPicture:
    """A scene of the bank for a product to stand in, as the node Scene chooses it: `image`, `layout`, `caption`.

    words: what is advertised or where, Korean or English; they choose what is left at "auto". seed: another of the scenes
    that suit. scene: one by its name. view: "level", or "from above" for a photo taken so. scene_folders: folders of scenes
    of your own. Raises InputError.
    """
    require_words("words", words)
    require_several("scene_folders", scene_folders)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise InputError("seed", seed, "a whole number")
    return _framed(SceneQuery(words, trade, setting, palette, light, scene, seed, view), format, scene_folders)


def _chosen(query: SceneQuery, folders: Sequence[str | Path] = ()) -> Chosen:
    found = bank.read_bank(bank.BUNDLED, *map(Path, folders))
    scene, notes = choose(found, query, presets.read_library())
    return Chosen(scene, (*notes, *found.problems))


def _framed(query: SceneQuery, format: str, folders: Sequence[str | Path] = ()) -> BankPicture:
    scene, notes = _chosen(query, folders)
    return frame(scene, format, notes)


def require_sized(format: str) -> None:
    """Raise InputError for "as the picture": a scene of the bank has no size of its own."""
    if format == AS_PICTURE:
        raise InputError("format", format, "a format with a size")


def ad_from_photo(
    photo: Picture,
    words: str,
    headline: str | None = None,
    *,
    format: str = "1:1 feed",
    scene: BankPicture | None = None,
    trade: str = AUTO,
    setting: str = AUTO,
    palette: str = AUTO,
    light: str = AUTO,
    view: str = AUTO,
    seed: int = 0,
    scene_folders: Sequence[str | Path] = (),
    product_scale: float = 0.0,
    text_side: str = "auto",
    margin: float = 5.0,
    edges: Edges = Edges(),  # noqa: B008, frozen
    placement: Placement = Placement(),  # noqa: B008, frozen
    design: Design = Design(),  # noqa: B008, frozen
    font: str = BUNDLED_FONT,
    font_folders: Sequence[str | Path] = (),
    cutter: Cutter | str | Path | None = None,
    progress: Progress | None = None,
    brand: Brand | None = None,
    badge: Badge | str | None = None,
    call_to_action: CallToAction | str | None = None,
) -> Result:
    """A product photo and a sentence become an advertisement, as in the workflow ad_from_photo.

    The sentence chooses the scene, as far as trade, setting, palette, light and seed leave it open (see `find_scene`), and the
    headline, where none is given; `scene` is one of `find_scene`. view: "auto" follows the photo's. Others: `product_composite`.
    """
    require_words("words", words)
    if not any(map(str.isalnum, words)):
        raise InputError("words", words, "what is advertised, in a few words, such as: 카페 신메뉴 딸기라떼")
    require_sized(format)
    query = SceneQuery(words, trade, setting, palette, light, AUTO, seed, view)
    _chosen(query, scene_folders)  # a wrong one is refused before the photo is cut out
    if headline is None:
        headline = advert.compose(advert.AdBrief(words, trade, seed=seed), presets.read_library(), ()).headline
    return product_composite(
        photo,
        scene or (lambda mask: _framed(as_photographed(query, mask), format, scene_folders)),
        headline,
        format=format,
        product_scale=product_scale,
        text_side=text_side,
        margin=margin,
        edges=edges,
        placement=placement,
        design=design,
        font=font,
        font_folders=font_folders,
        cutter=cutter,
        progress=progress,
        brand=brand,
        badge=badge,
        call_to_action=call_to_action,
    )
