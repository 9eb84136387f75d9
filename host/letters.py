"""Letters set anew while a person moves them in the layout editor (js/layout_editor.mjs), by POST /storefront/letters."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web
from server import PromptServer

from ..studio.errors import InputError, require_number, require_one_of
from . import languages

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from ..studio.canvas import Box
    from ..studio.contrast import Scrim
    from ..studio.text.design import Design, TextPlan

LETTERS_SIDE = 2048  # pixels: of a picture that letters are set on
MOST_TEXT = 4000  # characters that are set
MOST_BODY = 64_000  # bytes: the longest text and a design
MOST_COLORS = 64  # of a palette
MOST_WAITING = 16  # requests: an editor has one at a time
STANDING_SIDE = 640  # pixels: what stands behind the words decides their colour, for which this is fine enough
MOST_STANDING = 128  # pictures: 64 products, each with its shadow

_setting: asyncio.Lock | None = None  # one text at a time: who moves a box sends many
_waiting = 0


class _OneText:
    """A layout of words alone, which `overlay` takes."""

    def __init__(self, plan: TextPlan):
        self.plan = plan

    def text_on(self, width: int, height: int) -> TextPlan:
        """The plan; it was made for this size."""
        return self.plan


def set_anew(asked: Any) -> dict[str, Any]:
    """What POST /storefront/letters answers: words in another box, with another colour or weight, on the picture shown.

    {"width", "height", "text", "font", "design", "box": shares, "down", "color", "align", "background": a file of `ui`, or none,
    "standing": [{"file": a file of `ui`, "box": shares, "rotation": degrees, "flip"}], from back to front, "language":
    of errors}.
    Raises InputError that names the part.
    """
    import torch

    from ..studio.layout.layout import ALIGNMENTS
    from ..studio.text import draw, fonts
    from ..studio.text.design import TextPlan
    from . import arranging
    from . import fonts as installed

    if not isinstance(asked, Mapping):
        raise InputError("letters", asked, "a JSON object")
    width, height = (int(require_number(side, asked.get(side, 0), 16, 16384)) for side in ("width", "height"))
    scale = min(1.0, LETTERS_SIDE / max(width, height))
    size = max(16, round(width * scale)), max(16, round(height * scale))
    text, font = asked.get("text"), asked.get("font")
    if not isinstance(text, str) or not 0 < len(text) <= MOST_TEXT:
        raise InputError("text", text, f"words of at most {MOST_TEXT} characters")
    if not isinstance(font, str):
        raise InputError("font", font, "the name of a font")
    design = _design(asked.get("design"), scale)
    box, align = _box(asked.get("box"), *size), asked.get("align")
    require_one_of("align", align, ALIGNMENTS)
    under = _background(asked.get("background"), *size)
    color, scrim = _colors(asked.get("color"), box, under)
    picture = torch.full((1, size[1], size[0], 3), 0.5) if under is None else under
    picture = _with_standing(picture, asked.get("standing"))
    down = require_number("down", asked.get("down", 0.5), 0, 1)
    plan = TextPlan(box, color, str(align), scrim, down, is_by_hand=True)
    lettered = draw.overlay(picture, [text], design, fonts.Typeface(installed.families(), font), _OneText(plan))
    return arranging.block_shown(
        lettered, *size, lambda part: "data:image/webp;base64," + base64.b64encode(arranging.webp(part)).decode("ascii")
    )


def _colors(wished: Any, box: Box, under: torch.Tensor | None) -> tuple[str, Scrim | None]:
    """Colour and veil as a plan has them for words that were moved; the wished colour where no picture is."""
    from ..studio.contrast import require_color
    from ..studio.layout.lettering import readable

    color = require_color("color", wished)
    if under is None:
        return color, None
    part = under[0, max(0, box.y) : max(0, box.bottom), max(0, box.x) : max(0, box.right)]
    return readable(part.numpy())[:2] if part.numel() else (color, None)


def _design(value: Any, scale: float) -> Design:
    from ..studio.text.design import AUTO, Design

    if not isinstance(value, Mapping):
        raise InputError("design", value, "an object with fields of Text Overlay")
    wished = dict(value)
    names = Design.__dataclass_fields__
    if unknown := sorted(map(str, wished.keys() - names.keys())):
        raise InputError("design", unknown[0], "a field of Text Overlay")
    palette = wished.get("palette", ())
    if not isinstance(palette, (list, tuple)) or len(palette) > MOST_COLORS:
        raise InputError("palette", palette, f"a list of at most {MOST_COLORS} colors")
    wished["anchor"] = AUTO
    size = wished.get("size", 0.0)
    wished["size"] = require_number("size", size, 0, 4096) * scale
    return Design(**wished)


def _box(value: Any, width: int, height: int) -> Box:
    from ..studio.canvas import Box

    if not isinstance(value, list) or len(value) != 4:
        raise InputError("box", value, "four shares of the picture: x, y, width, height")
    x, y, wide, high = (require_number("box", side, -2, 3) for side in value)
    return Box(round(x * width), round(y * height), max(1, round(wide * width)), max(1, round(high * height)))


def _background(value: Any, width: int, height: int) -> torch.Tensor | None:
    """A picture that the editor is shown, at a size; None where none is named, or it is gone."""
    from PIL import Image

    from ..studio.images import from_pil
    from .arranging import shown_picture

    picture = shown_picture(value, "RGB")
    return None if picture is None else from_pil(picture.resize((width, height), Image.Resampling.BILINEAR))


def _with_standing(picture: torch.Tensor, standing: Any) -> torch.Tensor:
    """The picture [1, H, W, 3] with products and shadows on it: words are readable on what they will lie on."""
    from PIL import Image

    from ..studio.images import from_pil, to_pil

    if not standing:
        return picture
    if not isinstance(standing, list) or len(standing) > MOST_STANDING:
        raise InputError("standing", standing, f"a list of at most {MOST_STANDING} pictures")
    (whole,) = to_pil(picture)
    scale = min(1.0, STANDING_SIDE / max(whole.size))
    over = Image.new("RGBA", (max(1, round(whole.width * scale)), max(1, round(whole.height * scale))))
    for one in standing:
        _stand(over, one)
    out = whole.convert("RGBA")
    out.alpha_composite(over.resize(whole.size, Image.Resampling.BILINEAR))
    return from_pil(out.convert("RGB"))


def _stand(over: Image.Image, one: Any) -> None:
    """One of `standing` on a transparent picture; nothing where its file is gone, or it is out of sight."""
    from PIL import Image, ImageOps

    from .arranging import shown_picture

    if not isinstance(one, Mapping):
        raise InputError("standing", one, "an object with file, box, rotation, flip")
    box = _box(one.get("box"), *over.size)
    rotation = require_number("rotation", one.get("rotation", 0), -360, 360)
    picture = shown_picture(one.get("file"), "RGBA")
    if picture is None:
        return
    piece = picture.resize((box.width, box.height), Image.Resampling.BILINEAR)
    piece = ImageOps.mirror(piece) if one.get("flip") is True else piece
    piece = piece.rotate(rotation, Image.Resampling.BILINEAR, expand=True) if rotation else piece
    x, y = box.x - (piece.width - box.width) // 2, box.y - (piece.height - box.height) // 2
    if -piece.width < x < over.width and -piece.height < y < over.height:
        over.alpha_composite(piece, (max(0, x), max(0, y)), (max(0, -x), max(0, -y)))


async def _letters(request: web.Request) -> web.Response:
    language: object = ""
    try:
        body = await _body(request)  # before it counts: who sends slowly takes nobody's turn
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            return web.json_response({"error": "Expected: JSON."}, status=400)
        language = asked.get("language", "") if isinstance(asked, Mapping) else ""
        if _waiting >= MOST_WAITING:
            return web.json_response({"error": "Too many letters are being set. Try again."}, status=503)
        return web.json_response(await _in_turn(asked))
    except InputError as error:
        return web.json_response({"error": languages.error(error, language)}, status=400)


async def _in_turn(asked: Any) -> dict[str, Any]:
    global _setting, _waiting
    _setting = _setting or asyncio.Lock()
    _waiting += 1
    try:
        async with _setting:
            return await asyncio.get_running_loop().run_in_executor(None, set_anew, asked)
    finally:
        _waiting -= 1


async def _body(request: web.Request) -> bytes:
    """What was sent, as far as it can be a text in a box; ComfyUI itself reads 100 MB and more."""
    body = bytearray()
    async for part in request.content.iter_chunked(1 << 16):
        body += part
        if len(body) > MOST_BODY:
            raise InputError("letters", f"more than {MOST_BODY} bytes", f"at most {MOST_BODY} bytes")
    return bytes(body)


def add_route() -> None:
    """POST /storefront/letters, see `set_anew`. Open to whoever may queue prompts: it changes nothing and answers letters alone."""
    PromptServer.instance.routes.post("/storefront/letters")(_letters)
