"""Logo, badge and call to action on an advertisement of the Python API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..brand.badge import put_badge
from ..brand.brand import BUNDLED, EXAMPLE_BRAND, Brand, read_brand
from ..brand.call import put_call
from ..brand.designs import Badge, CallToAction
from ..brand.laid import Laid
from ..brand.logo import brand_logos, put_logo
from ..brand.rooms import Extras
from ..errors import InputError

if TYPE_CHECKING:
    import torch

    from ..layout.layout import Layout
    from ..text.fonts import Typeface
    from .result import StageClock


def load_brand(folder: str | Path | None = None) -> Brand:
    """A brand from its folder with brand.yaml and logos; without one the bundled example. Raises InputError."""
    path = BUNDLED / EXAMPLE_BRAND if folder is None else Path(folder)
    if not path.is_dir():
        raise InputError("folder", str(folder), "a folder with brand.yaml")
    return read_brand(path)


def extras_for(brand: object, badge: object, call_to_action: object) -> Extras:
    """What was asked for. Raises InputError for values of other kinds."""
    if brand is not None and not isinstance(brand, Brand):
        raise InputError("brand", brand, "what load_brand gives")
    if badge is not None and not isinstance(badge, Badge | str):
        raise InputError("badge", badge, "its text, or Badge(...)")
    if call_to_action is not None and not isinstance(call_to_action, CallToAction | str):
        raise InputError("call_to_action", call_to_action, "its text, or CallToAction(...)")
    return Extras(
        brand,
        Badge(badge) if isinstance(badge, str) else badge,
        CallToAction(call_to_action) if isinstance(call_to_action, str) else call_to_action,
    )


def branded(
    image: torch.Tensor,
    layout: Layout,
    mask: torch.Tensor | None,
    extras: Extras,
    typeface: Typeface,
    clock: StageClock,
) -> tuple[torch.Tensor, Layout]:
    """The advertisement with what was asked for on it, and the layout that has it; `mask` is the products'."""
    if extras == Extras():
        return image, layout
    steps = []
    if extras.brand is not None and extras.brand.on_light is not None:
        logos, brand = brand_logos(extras.brand), extras.brand
        steps.append(lambda image, layout: put_logo(image, logos, extras.logo, layout, mask, brand))
    if (badge := extras.badge) is not None:
        steps.append(lambda image, layout: put_badge(image, badge, typeface, layout, extras.brand, mask))
    if (call := extras.call) is not None:
        steps.append(lambda image, layout: put_call(image, call, typeface, layout, extras.brand, mask))
    with clock.stage("brand"):
        for step in steps:
            laid: Laid = step(image, layout)
            image, layout = laid.image, laid.layout
            for note in laid.notes:
                clock.note(note)
    return image, layout
