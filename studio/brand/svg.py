"""Whether an SVG can be drawn in moments: resvg ends the whole process at deep or tall ones, and takes hours over others.

What is counted is what will be drawn: an element that others use counts as often as it is used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import InputError

DEEPEST_SVG = 60  # elements in elements; real logos have ten. resvg's own stack ends at some hundreds
DEEPEST_REFERENCES = 8  # of what is used, clips or masks by what is itself so
MOST_WORK = 5000  # shapes of the picture's whole size take about two seconds
LAYER_WORK = 50  # shapes: what has a filter, mask, clip or opacity is drawn on a layer of its own
LONGEST_SIDES = 40.0  # width over height, or height over width
SLOW_FILTERS = {"feConvolveMatrix", "feMorphology", "feTurbulence"}  # seconds to hours for each pixel's surroundings
_REFERENCE = re.compile(r"url\(\s*[\"']?#([^\"')]+)")
_LAYER = re.compile(r"(?<![\w-])(?:filter|mask|clip-path|opacity|mix-blend-mode)\s*:\s*(?!none\b|1\b)", re.IGNORECASE)
_LAYER_NAMES = {"filter", "mask", "clip-path", "opacity"}
_SELECTED = re.compile(r"[.#]?[\w-]+|\*")
_NUMBER = re.compile(r"\d+")
_PICTURE = re.compile(r"\s*data:\s*image/(?:png|jpe?g|gif|webp)\s*[;,]", re.IGNORECASE)
SVG_UNITS = {
    "": 1.0,
    "px": 1.0,
    "in": 96.0,
    "cm": 37.8,
    "mm": 3.78,
    "pt": 4 / 3,
    "pc": 16.0,
    "em": 12.0,
    "ex": 6.0,
}  # in px
_LENGTH = re.compile(rf"\s*\+?(\d*\.?\d+(?:e[+-]?\d+)?)\s*(%|{'|'.join(SVG_UNITS)})\s*", re.IGNORECASE)
LONGEST_STYLE = 20_000  # characters of what is said of one class
LONGEST_STYLES = 1_000_000  # of all together
MOST_CLASSES = 100  # of an element
AS_PNG = "or the logo saved as PNG"


@dataclass
class _Part:
    """All inside an element that has a name, of which others are not known yet."""

    work: int = 0
    used: Counter[str] = field(default_factory=Counter)


@dataclass
class _Walk:
    name: str
    styles: Mapping[str, str]  # ".class", "#id", tag or "*" -> what a style sheet says of it
    open: list[_Part | None] = field(default_factory=list)
    parts: dict[str, _Part] = field(default_factory=dict)
    whole: _Part = field(default_factory=_Part)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """As expat calls it."""
        tag = tag.rpartition(":")[2]
        if not self.open:
            _require_proportions(self.name, attributes)
        if tag in SLOW_FILTERS:
            raise InputError("logo", self.name, f"an SVG without {', '.join(sorted(SLOW_FILTERS))}, {AS_PNG}")
        if len(self.open) >= DEEPEST_SVG:
            raise InputError("logo", self.name, f"an SVG of at most {DEEPEST_SVG} elements in elements, {AS_PNG}")
        links = [text for key, text in attributes.items() if key.rpartition(":")[2] == "href"]
        # An SVG in an SVG would be drawn unseen by all of this.
        if any(text.lstrip()[:5].lower() == "data:" and not _PICTURE.match(text) for text in links):
            wanted = f"an SVG whose embedded pictures are PNG, JPEG, GIF or WebP, {AS_PNG}"
            raise InputError("logo", self.name, wanted)
        own = self.parts.setdefault(attributes["id"], _Part()) if attributes.get("id") else None
        self.open.append(own)
        keys = [
            "*",
            tag,
            f"#{attributes.get('id', '')}",
            *(f".{one}" for one in dict.fromkeys(attributes.get("class", "").split())),
        ]
        if len(keys) > MOST_CLASSES:
            raise InputError("logo", self.name, f"an SVG of at most {MOST_CLASSES} classes an element, {AS_PNG}")
        style = ";".join([attributes.get("style", ""), *(self.styles.get(key, "") for key in keys)])
        layered = bool(_LAYER.search(style)) or any(
            attributes.get(key, "1") not in ("1", "none") for key in _LAYER_NAMES
        )
        used = Counter(name for text in (style, *attributes.values()) for name in _REFERENCE.findall(text))
        if any("marker" in text for text in (style, *attributes)):  # drawn at every corner
            corners = len(_NUMBER.findall(f"{attributes.get('d', '')} {attributes.get('points', '')}")) or 1
            used = Counter({name: count * corners for name, count in used.items()})
        used.update(text[1:] for text in links if text[:1] == "#")
        for part in (self.whole, *filter(None, self.open)):
            part.work += LAYER_WORK if layered else 1
            part.used.update(used)
        self.require_little(self.whole.work)

    def end(self, tag: str) -> None:
        """As expat calls it."""
        self.open.pop()

    def text(self, text: str) -> None:
        """As expat calls it; words are drawn with their element."""

    def require_little(self, work: int) -> None:
        """Raise InputError for more than MOST_WORK."""
        if work > MOST_WORK:
            wanted = f"an SVG of at most {MOST_WORK} shapes, one with a filter, mask, clip or opacity counted {LAYER_WORK} times"
            raise InputError("logo", self.name, f"{wanted}, {AS_PNG}")

    def work(self) -> int:
        """Elements that are drawn. Raises InputError where references are deep, or go round."""
        known: dict[str, int] = {}

        def of(part: _Part, deep: int) -> int:
            if deep > DEEPEST_REFERENCES:
                wanted = (
                    f"an SVG whose references are at most {DEEPEST_REFERENCES} deep, and go round nowhere, {AS_PNG}"
                )
                raise InputError("logo", self.name, wanted)
            return part.work + sum(count * named(name, deep + 1) for name, count in part.used.items())

        def named(name: str, deep: int) -> int:
            if name not in self.parts:
                return 0
            # The depth is looked at on every way to an element, the sum is made once for each depth.
            if (key := f"{deep} {name}") not in known:
                known[key] = of(self.parts[name], deep)
            return known[key]

        return of(self.whole, 0)


def require_drawable(name: str, text: str) -> None:
    """Raise InputError, which names the file, for an SVG that is deep, tall, slow to draw, or no XML."""
    from xml.parsers import expat

    sheet: list[str] = []
    walk = _Walk(name, {})
    for pass_ in (_Sheets(sheet), walk):  # a style sheet may come behind what it is about
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = pass_.start, pass_.end
        parser.CharacterDataHandler = pass_.text
        try:
            parser.Parse(text, True)
        except expat.ExpatError as error:
            raise InputError("logo", name, f"an SVG that can be read; {error}") from None
        walk.styles = walk.styles or _styles(name, "".join(sheet))
    walk.require_little(walk.work())


class _Sheets:
    def __init__(self, found: list[str]):
        self.found, self.inside = found, False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.inside = tag.rpartition(":")[2] == "style"

    def end(self, tag: str) -> None:
        self.inside = False

    def text(self, text: str) -> None:
        if self.inside:
            self.found.append(text)


def _styles(name: str, sheet: str) -> dict[str, str]:
    """ ".class", "#id", tag or "*" -> what is said of it, by the last word of each selector. Raises InputError, which
    names the file, where that is too much."""
    said: dict[str, str] = {}
    room = LONGEST_STYLES
    for rule in sheet.split("}"):
        selectors, _, body = rule.partition("{")
        for selector in selectors.split(","):
            last = (selector.split() or [""])[-1]
            for key in _SELECTED.findall(last.partition(":")[0]):
                said[key] = f"{said.get(key, '')};{body}"
                room -= len(body) + 1
                if len(said[key]) > LONGEST_STYLE or room < 0:
                    wanted = f"an SVG with at most {LONGEST_STYLE:,} characters of style for a class, {LONGEST_STYLES:,} in all"
                    raise InputError("logo", name, f"{wanted}, {AS_PNG}")
    return said


def _require_proportions(name: str, attributes: Mapping[str, str]) -> None:
    """It is drawn to a width, so that a tall one has no end: by the root's sides, or those of its viewBox."""
    box = [_pixels(part, 0.0) for part in re.split(r"[\s,]+", attributes.get("viewBox", "").strip())]
    wide, high = box[2:] if len(box) == 4 else (0.0, 0.0)
    own = [_pixels(attributes.get(side, ""), whole) for side, whole in (("width", wide), ("height", high))]
    for width, height in (own, (wide or own[0], high or own[1])):
        if not (width > 0 and height > 0 and 1 / LONGEST_SIDES <= width / height <= LONGEST_SIDES):
            wanted = f"an SVG with a viewBox, at most {LONGEST_SIDES:g} times as high as wide, or as wide as high"
            raise InputError("logo", f"{name}: {width:g} x {height:g}", f"{wanted}, {AS_PNG}")


def _pixels(text: str, whole: float) -> float:
    """A length; `whole` where there is none, and a share of it for per cents."""
    found = _LENGTH.fullmatch(text)
    if found is None:
        return whole
    unit = found[2].lower()
    return float(found[1]) * (whole / 100 if unit == "%" else SVG_UNITS[unit])
