"""Where the product stands, how large, and where the words go: every sensible pair of boxes is scored, the best taken."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..canvas import FORMATS
from ..errors import InputError, require_number
from ..images import require_mask, require_picture
from . import contrast
from .layout import Box, Layout, Scrim
from .light import estimate_light
from .scene import BoxMeans, Scene, look_at

if TYPE_CHECKING:
    import numpy as np
    import torch

AS_PICTURE = "as the picture"
EACH, TOGETHER = "each on its own background", "all in one picture"
SIDES = ("auto", "top", "bottom", "left", "right")
SMALLEST = 32  # pixels a side


class Safe(NamedTuple):
    """Shares of the picture at its edges where no word may stand."""

    top: float
    right: float
    bottom: float
    left: float


EVEN = Safe(0.05, 0.05, 0.05, 0.05)  # the usual margin of print and web banners
SAFE_AREAS = {
    # Instagram and TikTok lay name and buttons over a story: Meta asks for 14 % above and 20 % below to stay free.
    "9:16 story, reel": Safe(0.14, 0.06, 0.20, 0.06),
    # Feeds crop 4:5 to a square in the profile grid: a tenth above and below may go.
    "4:5 feed portrait": Safe(0.10, 0.05, 0.10, 0.05),
    # Players lay their bar over the lower tenth.
    "16:9 video, slide": Safe(0.05, 0.05, 0.10, 0.05),
    # Link previews are cut to other shapes by messengers.
    "1.91:1 link preview": Safe(0.08, 0.08, 0.08, 0.08),
    # Low banners: the same distance in pixels all around.
    "3:1 banner": Safe(0.10, 0.04, 0.10, 0.04),
    "4:1 leaderboard": Safe(0.12, 0.03, 0.12, 0.03),
    # Trimming may take 3 mm of a sheet, and print looks cramped below about 6 %.
    "A-series print, portrait": Safe(0.06, 0.07, 0.06, 0.07),
    "A-series print, landscape": Safe(0.07, 0.06, 0.07, 0.06),
    "9:5 name card": Safe(0.10, 0.07, 0.10, 0.07),
}


@dataclass(frozen=True)
class Wishes:
    format: str = AS_PICTURE
    product_scale: float = 0.0  # % of the picture's height (or width, if that is met first); 0: chosen
    text_side: str = "auto"  # which side of the picture the words take
    batch: str = EACH

    def __post_init__(self) -> None:
        allowed: dict[str, tuple[str, ...]] = {
            "format": (AS_PICTURE, *FORMATS),
            "text_side": SIDES,
            "batch": (EACH, TOGETHER),
        }
        for name, choices in allowed.items():
            if getattr(self, name) not in choices:
                raise InputError(name, getattr(self, name), "one of: " + ", ".join(choices))
        require_number("product_scale", self.product_scale, 0, 100)


class _Shape(NamedTuple):
    """A product's box in units of the tallest one."""

    width: float
    height: float


GAP = 0.06  # between products, times the tallest one's height


def plan_pictures(background: torch.Tensor, mask: torch.Tensor | None, headline: str, wishes: Wishes) -> Layout:
    """`plan` for the first picture of IMAGE [B, H, W, 3] and each product of MASK [P, h, w]."""
    pictures = require_picture("background", background).numpy()
    return plan(pictures[0], [] if mask is None else list(require_mask("product_mask", mask)), headline, wishes)


def plan(background: np.ndarray, masks: list[np.ndarray], headline: str, wishes: Wishes) -> Layout:
    """The layout for a picture [H, W, 3] in 0..1, the products' masks [h, w], and the words.

    Without a mask the picture is taken to hold its product already, and only the words are placed. Raises InputError
    for an empty mask, a picture of less than 32 pixels, and one that has not the shape of the format.
    """
    height, width = background.shape[:2]
    if min(height, width) < SMALLEST:
        raise InputError("background", f"{width}x{height}", f"at least {SMALLEST} pixels on each side")
    if wishes.format != AS_PICTURE:
        size = FORMATS[wishes.format]
        if abs(width / height * size.height / size.width - 1) > 0.02:
            raise InputError(
                "background", f"{width}x{height}", f"the shape of {wishes.format!r}, such as {size.width}x{size.height}"
            )
    scene = look_at(background)
    shapes = [_shape(mask, index) for index, mask in enumerate(masks)]
    if shapes and wishes.batch == EACH:  # one box that holds each of them
        tallest = max(shape.height for shape in shapes)
        shapes = [_Shape(max(shape.width for shape in shapes), tallest)]
    safe = SAFE_AREAS.get(wishes.format, EVEN)
    groups = _product_boxes(shapes, scene, width / height, wishes, safe)
    words = _text_boxes(safe, wishes.text_side)
    best = _best_pair(groups, words, scene, headline, width, height)
    return _finished(background, best, shapes, scene, width, height)


def _shape(mask: np.ndarray, index: int) -> _Shape:
    import numpy as np

    rows, columns = np.flatnonzero((mask > 0.5).any(1)), np.flatnonzero((mask > 0.5).any(0))
    if not len(rows):
        raise InputError("product_mask", f"empty (picture {index})", "a mask with a product in it (1 = product)")
    return _Shape(float(columns[-1] - columns[0] + 1), float(rows[-1] - rows[0] + 1))


def _group(shapes: list[_Shape]) -> _Shape:
    """All products side by side on one ground line. Photos are taken to be of one scale: nothing else is known."""
    tallest = max(shape.height for shape in shapes)
    return _Shape(sum(shape.width for shape in shapes) + GAP * tallest * (len(shapes) - 1), tallest)


def _product_boxes(shapes: list[_Shape], scene: Scene, aspect: float, wishes: Wishes, safe: Safe) -> np.ndarray:
    """[N, 4] boxes (left, top, right, bottom in 0..1) in which the products may stand; one empty box without any."""
    import numpy as np

    if not shapes:
        return np.zeros((1, 4))
    group = _group(shapes)
    shape = group.width / group.height / aspect  # width for a height of 1, both as shares of the picture
    heights = np.array([wishes.product_scale / 100] if wishes.product_scale else np.linspace(0.28, 0.72, 12))
    heights = np.minimum(heights, 0.92 / shape)
    bases = _ground_lines(scene, safe)
    boxes = []
    for tall in np.unique(heights.round(4)):
        wide = tall * shape
        for base in bases:
            if base - tall < 0.03:
                continue
            edge = 0.04
            for middle in np.linspace(edge + wide / 2, 1 - edge - wide / 2, 13) if wide < 1 - 2 * edge else [0.5]:
                boxes.append((middle - wide / 2, base - tall, middle + wide / 2, base))
    if not boxes:
        tall = min(0.9, 0.92 / shape)
        boxes = [(0.5 - tall * shape / 2, 0.95 - tall, 0.5 + tall * shape / 2, 0.95)]
    return np.array(boxes)


def _ground_lines(scene: Scene, safe: Safe) -> np.ndarray:
    """Where a product's base may stand: on the ground that begins at the horizon, else in the lower quarter."""
    import numpy as np

    lowest = 1 - max(0.04, safe.bottom * 0.6)
    if scene.horizon is None:
        return np.linspace(max(0.7, lowest - 0.2), lowest, 4)
    deep = 1 - scene.horizon
    return np.linspace(min(scene.horizon + 0.3 * deep, lowest), min(scene.horizon + 0.8 * deep, lowest), 4)


def _text_boxes(safe: Safe, side: str) -> np.ndarray:
    """[M, 4] boxes inside the safe area: bands across, columns, and corners."""
    import numpy as np

    x0, y0, x1, y1 = safe.left, safe.top, 1 - safe.right, 1 - safe.bottom
    boxes = []
    for wide in (1.0, 0.75, 0.6, 0.48, 0.38):
        for tall in (0.14, 0.2, 0.28, 0.38, 0.55):
            w, h = wide * (x1 - x0), tall * (y1 - y0)
            for x in np.linspace(x0, x1 - w, 3 if wide < 1 else 1):
                for y in np.linspace(y0, y1 - h, 7):
                    boxes.append((x, y, x + w, y + h))
    out = np.array(boxes)
    middle = (out[:, :2] + out[:, 2:]) / 2
    kept = {
        "auto": np.ones(len(out), bool),
        "top": middle[:, 1] < 0.42,
        "bottom": middle[:, 1] > 0.58,
        "left": middle[:, 0] < 0.45,
        "right": middle[:, 0] > 0.55,
    }[side]
    return out[kept]


class _Pair(NamedTuple):
    product: np.ndarray  # [4], shares of the picture; empty without a product
    text: np.ndarray  # [4]
    calm: float  # 0..1, 1 = nothing under the words
    covered: float  # 0..1, how much of what catches the eye the product hides


def _best_pair(groups: np.ndarray, words: np.ndarray, scene: Scene, headline: str, width: int, height: int) -> _Pair:
    """Scores add up from terms in 0..1; their weights are the taste of this pack."""
    import numpy as np

    saliency, busy = BoxMeans(scene.saliency), BoxMeans(scene.busyness)
    with_product = bool((groups[:, 2] > groups[:, 0]).any())

    tall, wide = groups[:, 3] - groups[:, 1], groups[:, 2] - groups[:, 0]
    middle = (groups[:, 0] + groups[:, 2]) / 2
    covered = saliency.over(groups) if with_product else np.zeros(1)
    size = 1 - np.abs(np.maximum(tall, wide * 0.8) - 0.52) / 0.5
    spot = np.minimum.reduce([np.abs(middle - third) for third in (1 / 3, 0.5, 2 / 3)])
    front = 0.0 if scene.horizon is None else np.abs((groups[:, 3] - scene.horizon) / (1 - scene.horizon) - 0.6)
    product_score = (1.2 * size - 0.9 * covered - 1.5 * spot - 1.2 * front) if with_product else np.zeros(1)

    # What catches the eye counts double where it is strong: half a face under the words is worse than a tint all over.
    eye = BoxMeans(_subject(scene.saliency) if not with_product else scene.saliency)
    strong = BoxMeans((scene.saliency > 0.5).astype(float))
    calm = 1 - np.clip(0.5 * eye.over(words) + 0.6 * strong.over(words) + 1.4 * busy.over(words), 0, 1)
    letter = _letter_size(words, headline, width, height)
    large = np.clip(letter / (0.1 * (width * height) ** 0.5), 0, 1)
    ragged = np.clip((words[:, 3] - words[:, 1]) - 0.4, 0, 1)  # a tall box with few words looks lost
    centre = (words[:, :2] + words[:, 2:]) / 2
    upper = np.clip(1 - centre[:, 1], 0, 1)  # read first
    across = np.minimum.reduce([np.abs(centre[:, 0] - x) for x in (0.28, 0.5, 0.72)])
    text_score = 2.0 * calm + 1.5 * large + 0.35 * upper - 0.5 * ragged - 0.4 * across

    pad = 0.02
    gap_x = np.maximum(words[None, :, 0] - groups[:, None, 2], groups[:, None, 0] - words[None, :, 2])
    gap_y = np.maximum(words[None, :, 1] - groups[:, None, 3], groups[:, None, 1] - words[None, :, 3])
    apart = np.maximum(gap_x, gap_y)
    # A product left of the middle wants its words right of it, and the other way round.
    lean = (middle[:, None] - 0.5) * tall[:, None] * 2 + (centre[None, :, 0] - 0.5) * large[None, :]
    score = product_score[:, None] + text_score[None, :] - 0.8 * np.abs(lean)
    if with_product:
        beside = gap_x > gap_y  # words beside a product belong at its height
        level = np.abs((groups[:, 1] + groups[:, 3])[:, None] / 2 - centre[None, :, 1])
        side_by_side = np.clip(width / height - 1.3, 0, 1) - np.clip(1 - width / height, 0, 1)
        score = (
            score
            + 0.9 * side_by_side * beside
            - 0.5 * beside * level
            - np.where(apart < pad, 6 + 20 * np.clip(pad - apart, 0, 1), 0)
        )
    product, text = np.unravel_index(int(score.argmax()), score.shape)
    box = groups[product] if with_product else np.zeros(0)
    return _Pair(box, words[text], float(calm[text]), float(covered[product]))


def _subject(saliency: np.ndarray) -> np.ndarray:
    """Saliency with the middle raised: a photo that holds its product already holds it there."""
    import numpy as np

    rows, columns = np.mgrid[-1 : 1 : saliency.shape[0] * 1j, -1 : 1 : saliency.shape[1] * 1j]
    return np.clip(saliency + 0.5 * np.exp(-(rows**2 + columns**2) / 0.5), 0, 1)


def _letter_size(boxes: np.ndarray, headline: str, width: int, height: int) -> np.ndarray:
    """Pixels an em that the words can have in each box, over one to five lines. Hangul and Han take a whole em."""
    import numpy as np

    words = [sum(_advance(c) for c in word) for word in headline.split()] or [6.0]
    length = sum(words) + 0.3 * (len(words) - 1)
    wide, tall = (boxes[:, 2] - boxes[:, 0]) * width, (boxes[:, 3] - boxes[:, 1]) * height
    sizes = []
    for lines in range(1, 6):
        # Lines come out uneven by about a third of a word.
        longest = max(length / lines + (sum(words) / len(words) / 3 if lines > 1 else 0), max(words))
        sizes.append(np.minimum(wide / longest, tall / (1.2 * lines)))
    return np.max(sizes, 0)


def _advance(character: str) -> float:
    return 0.95 if unicodedata.east_asian_width(character) in "WF" else 0.56


def _finished(
    background: np.ndarray, pair: _Pair, shapes: list[_Shape], scene: Scene, width: int, height: int
) -> Layout:
    left, top, right, bottom = (pair.text * [width, height, width, height]).round().astype(int).tolist()
    text = Box(left, top, max(1, right - left), max(1, bottom - top))
    products = _split(pair.product, shapes, width, height)
    part = background[text.y : text.bottom, text.x : text.right]
    step = max(1, min(part.shape[:2]) // 96) | 1  # odd: an even one would see one half of a fine stripe
    under = part[::step, ::step].reshape(-1, 3)
    color, ratio = contrast.best_color(under)
    scrim = None
    if ratio < contrast.READABLE:
        veil = contrast.DARK if color == contrast.LIGHT else contrast.LIGHT
        scrim = Scrim(veil, contrast.scrim_opacity(color, veil, under))
    centre = (pair.text[0] + pair.text[2]) / 2
    align = "left" if centre < 0.42 else "right" if centre > 0.58 else "center"
    light = estimate_light(background)
    ground = products[0].bottom if products else round((scene.horizon or 0.9) * height)
    english, korean = _reasons(pair, products, scene, width, color, ratio, scrim)
    return Layout(width, height, products, ground, text, color, align, scrim, light, english, korean)


def _split(group: np.ndarray, shapes: list[_Shape], width: int, height: int) -> tuple[Box, ...]:
    """The group's box shared out: sizes in proportion, one ground line, gaps between."""
    if not len(group):
        return ()
    x0, y0, x1, y1 = group * [width, height, width, height]
    whole = _group(shapes)
    scale = min((x1 - x0) / whole.width, (y1 - y0) / whole.height)
    boxes, x = [], (x0 + x1 - whole.width * scale) / 2
    for shape in shapes:
        wide, tall = max(1, int(shape.width * scale)), max(1, int(shape.height * scale))
        boxes.append(Box(round(x), round(y1) - tall, wide, tall))
        x += (shape.width + GAP * whole.height) * scale
    return tuple(boxes)


def _reasons(
    pair: _Pair, products: tuple[Box, ...], scene: Scene, width: int, color: str, ratio: float, scrim: Scrim | None
) -> tuple[str, str]:
    """One sentence each of what decided."""
    english, korean = [], []
    if products:
        middle = (products[0].x + products[-1].right) / 2 / width
        where = ("left", "왼쪽") if middle < 0.42 else ("right", "오른쪽") if middle > 0.58 else ("middle", "가운데")
        if scene.horizon is not None:
            english.append(
                f"the product stands {_at(where[0])} on the ground found at {scene.horizon:.0%} of the height"
            )
            korean.append(f"상품은 높이 {scene.horizon:.0%} 지점에서 시작하는 바닥 위 {where[1]}에 놓았고")
        else:
            english.append(f"the product stands {_at(where[0])} in the lower part, since no ground line shows")
            korean.append(f"바닥선이 뚜렷하지 않아 상품을 아래쪽 {where[1]}에 놓았고")
    centre = (pair.text[1] + pair.text[3]) / 2
    side = ("top", "위쪽") if centre < 0.4 else ("bottom", "아래쪽") if centre > 0.6 else ("middle", "중간 높이")
    quiet = "calm" if pair.calm > 0.75 else "fairly calm" if pair.calm > 0.5 else "the calmest there is, though busy"
    still = "차분해서" if pair.calm > 0.75 else "비교적 차분해서" if pair.calm > 0.5 else "그나마 덜 복잡해서"
    english.append(f"the words go to the {side[0]} where the picture is {quiet}")
    korean.append(f"글자는 배경이 {still} {side[1]}에 두었으며")
    tone, tone_ko = ("white", "흰색") if color == contrast.LIGHT else ("dark", "어두운 색")
    if scrim is None:
        english.append(f"in {tone}, which has a contrast of {ratio:.1f} to 1")
        korean.append(f"대비가 {ratio:.1f}:1인 {tone_ko}으로 썼습니다")
    else:
        english.append(f"in {tone} over a veil of {scrim.opacity:.0%}, since no colour alone reaches 4.5 to 1")
        korean.append(f"어떤 색도 4.5:1에 못 미쳐 {scrim.opacity:.0%} 농도의 막을 깔고 {tone_ko}으로 썼습니다")
    sentence = ", ".join(english)
    return sentence[0].upper() + sentence[1:] + ".", ", ".join(korean) + "."


def _at(side: str) -> str:
    return "in the middle" if side == "middle" else f"on the {side}"
