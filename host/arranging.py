"""What the layout editor (js/layout_editor.mjs) shows: small pictures in ComfyUI's temp folder, named in a node's `ui`.

The `ui` values are texts: ComfyUI's clients take objects with a `filename` for results of the prompt. Where no editor
listens there is no `ui`: other clients take the first one of a run for its result.
"""

from __future__ import annotations

import hashlib
import io as io_of_bytes
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import folder_paths

from ..studio import atomic
from ..studio.canvas import Box, anchor_shares
from ..studio.contrast import READABLE
from ..studio.images import require_picture, to_pil
from ..studio.layout import written
from ..studio.layout.arrangement import Arrangement, misfits
from ..studio.layout.layout import HEADLINE, OVERLAY_KINDS, WORDS, Layout, overlay_role
from ..studio.product.pieces import pieces as pieces_of
from ..studio.product.placement import AUTO as BY_PLAN
from ..studio.product.placement import Placement
from ..studio.product.sprite import cut_outs
from ..studio.scale import shrunk
from ..studio.text import draw
from ..studio.text.colors import LARGE_TEXT
from ..studio.text.design import AUTO as BY_LAYOUT
from ..studio.text.design import Design, alignment, follows
from . import languages, progress

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from ..studio.brand.laid import Laid
    from ..studio.product.pieces import FloatBox

SHOWN_FOLDER = "storefront"  # in the temp folder, which ComfyUI empties when it starts
SHOWN_NAME = re.compile(r"[0-9a-f]{32}\.webp")
SIDE = 1280  # pixels: the longer side of what is shown
QUALITY = 88


def plan_shown(
    background: torch.Tensor, layout: Layout, plan: Callable[[], Layout], hand: Arrangement, arrangement: str
) -> dict[str, list[str]] | None:
    """The `ui` of a node that plans: the picture, the layout, and where `plan` has what was moved by hand, which is
    `arrangement` as text."""
    if not progress.editor_listens():
        return None
    automatic = plan()  # here: no other client pays for it
    picture = require_picture("background", background[:1])
    return _ui(
        "storefront_plan",
        width=layout.width,
        height=layout.height,
        background=_file(picture),
        layout=json.loads(layout.to_json()),
        automatic=json.loads(automatic.to_json()),
        lean=automatic.text_on(automatic.width, automatic.height).down,
        arrangement=arrangement,
        misfits=[languages.note(sentence) for sentence in misfits(layout, hand)],
    )


def products_shown(
    background: torch.Tensor,
    product: torch.Tensor,
    product_mask: torch.Tensor,
    placement: Placement,
    layout: Layout | None,
    together: bool,
) -> dict[str, list[str]] | None:
    """The `ui` of Place Product: each product of the first picture, with its shadow."""
    if not progress.editor_listens():
        return None
    height, width = background.shape[1:3]
    several = slice(None) if together else slice(1)
    cut = cut_outs(product[several], product_mask[several] if product_mask.ndim == 3 else product_mask)
    pieces = pieces_of(background, cut, placement, layout, SIDE)
    shown = [
        {
            "region": _shares(one.region, width, height),
            "picture": _file(one.picture[None]),
            "shadow_region": _shares(one.shade_region, width, height),
            "shadow": _file(one.shade[None]),
            **one.pose._asdict(),
        }
        for one in pieces
    ]
    follows_plan = layout is not None and bool(layout.products) and placement.anchor == BY_PLAN
    return _ui("storefront_products", width=width, height=height, products=shown, follows=follows_plan)


def overlay_shown(laid: Laid, has_layout: bool) -> dict[str, list[str]] | None:
    """The `ui` of Logo, Badge and Call to Action: what was laid, with its shadow, and the box that it was drawn for."""
    import torch

    if not has_layout or not progress.editor_listens():
        return None
    width, height = laid.layout.width, laid.layout.height
    piece, drawn = laid.piece, laid.layout.overlays[-1]
    number = sum(one.kind == drawn.kind and one.drawn for one in laid.layout.overlays)
    role = overlay_role(drawn.kind, number - 1)
    if role not in OVERLAY_KINDS:  # more than an arrangement can name
        return None
    return _ui(
        "storefront_overlay",
        role=role,
        box=_shares(piece.box, width, height),
        **_trimmed(torch.from_numpy(piece.pixels()), (piece.canvas.left, piece.canvas.top), width, height, _file),
    )


def letters_shown(
    image: torch.Tensor, lettered: draw.Lettered, text: str, font: str, design: Design, layout: Layout | None
) -> dict[str, list[str]] | None:
    """The `ui` of Text Overlay: the first picture's words as drawn, and text and design as the node has them: the editor
    puts over these what is chosen by hand, and can go back to them."""
    if not progress.editor_listens():
        return None
    height, width = lettered.layer.shape[1:3]
    own, plan, is_further = design, None, layout is not None and layout.words_drawn
    role = HEADLINE if layout is None or not is_further else layout.next_role(WORDS)
    if role != HEADLINE and role not in OVERLAY_KINDS:  # more than an arrangement can name
        return None
    if layout is not None:
        planned, own = written.planned_for(layout.on(width, height), design, image)
        plan = planned.text_on(width, height)
    return _ui(
        "storefront_letters",
        width=width,
        height=height,
        text=text,
        font=font,
        design=asdict(design),
        role=role,
        follows=is_further or follows(design, plan),
        align=alignment(own, plan),
        down=anchor_shares(own.anchor)[1] if plan is None or own.anchor != BY_LAYOUT else plan.down,
        plan_color=None if plan is None else plan.color,
        **block_shown(lettered, width, height, _file),
    )


def block_shown(lettered: draw.Lettered, width: int, height: int, write: Any) -> dict[str, Any]:
    """The first picture's words: its layer cut to what is not transparent, and where that lies."""
    block = lettered.blocks[0]
    ink = block.ink
    is_large = block.size > draw.LARGE_LETTER * min(width, height)
    return {
        "box": _shares(block.box, width, height),
        "ink": _shares((ink.left, ink.top, ink.right - ink.left, ink.bottom - ink.top), width, height),
        "color": block.color,
        "veil": block.scrim.color,
        "veil_opacity": round(block.scrim.opacity, 3),
        "least_contrast": LARGE_TEXT if is_large else READABLE,
        **_trimmed(lettered.layer[0], (0, 0), width, height, write),
    }


def _trimmed(layer: torch.Tensor, corner: tuple[int, int], width: int, height: int, write: Any) -> dict[str, Any]:
    """A layer [h, w, 4] with its corner in a picture of that size, cut to what is not transparent; and where that lies."""
    import torch

    rows, columns = (torch.nonzero((layer[..., 3] > 0).any(axis)).flatten() for axis in (1, 0))
    top, bottom = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 1)
    left, right = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, 1)
    x, y = corner
    return {
        "layer": write(layer[None, top:bottom, left:right]),
        "layer_region": _shares((x + left, y + top, right - left, bottom - top), width, height),
    }


def _shares(box: Box | FloatBox | tuple[float, ...], width: int, height: int) -> list[float]:
    return [round(side / whole, 6) for side, whole in zip(box, (width, height, width, height))]


def _ui(name: str, **parts: Any) -> dict[str, list[str]]:
    return {name: [json.dumps(parts, ensure_ascii=False)]}


def webp(image: torch.Tensor) -> bytes:
    """The first picture, small enough to be shown."""
    content = io_of_bytes.BytesIO()
    to_pil(shrunk(image, SIDE))[0].save(content, "WEBP", quality=QUALITY, method=1)
    return content.getvalue()


def _file(image: torch.Tensor) -> dict[str, str]:
    """The first picture as a file of the temp folder, named by its content: the same picture is one file."""
    data = webp(image)
    name = f"{hashlib.sha256(data).hexdigest()[:32]}.webp"
    folder = Path(folder_paths.get_temp_directory()) / SHOWN_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / name).is_file():
        atomic.write(folder / name, data, 0o644)
    return {"filename": name, "subfolder": SHOWN_FOLDER, "type": "temp"}


def shown_picture(value: object, mode: str) -> Image.Image | None:
    """The picture that a value of `ui` names, read whole in a mode of Pillow; None where it is gone, or is none of those
    written here: ComfyUI's upload lets a stranger put any bytes under such a name."""
    from PIL import Image

    name = value.get("filename") if isinstance(value, Mapping) else None
    if not isinstance(name, str) or not SHOWN_NAME.fullmatch(name):
        return None
    try:
        with Image.open(Path(folder_paths.get_temp_directory()) / SHOWN_FOLDER / name, formats=["WEBP"]) as picture:
            return None if max(picture.size) > SIDE else picture.convert(mode)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
