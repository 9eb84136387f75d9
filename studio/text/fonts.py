"""Fonts by family name and weight, and which characters they have. Only files from lists of folders, never a path."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InputError
from . import font_files
from .color_glyphs import ColorFont

if TYPE_CHECKING:
    from PIL import ImageFont

EM = 256.0  # pixels at which letters are looked at
WIDEST_LETTER = 8  # em of a letter: the widest ligature is below; a damaged outline reaches for thousands
BUNDLED = "Pretendard"
EMOJI = "NotoEmoji"  # bundled too
BUNDLED_FOLDER = Path(__file__).parent.parent.parent / "fonts"
FONT_SUFFIXES = {".otf", ".ttf", ".ttc"}

# CSS font-weight of the words that end a font file's name (CSS Fonts 4, "common weight name mapping").
FONT_WEIGHTS = {
    "thin": 100,
    "hairline": 100,
    "extralight": 200,
    "ultralight": 200,
    "light": 300,
    "demilight": 350,
    "regular": 400,
    "normal": 400,
    "medium": 500,
    "semibold": 600,
    "demibold": 600,
    "extrabold": 800,
    "ultrabold": 800,
    "bold": 700,
    "black": 900,
    "heavy": 900,
}

# Installed fonts worth listing, told by their names, since reading every font of a system would take seconds: Korean ones,
# and those that systems bring for the scripts that Pretendard lacks.
SYSTEM_NAMES = re.compile(
    r"^(nanum|noto|malgun|batang|gulim|applesdgothicneo|applegothic|hiragino|pingfang|geezapro|thonburi|dejavusans"
    r"|arial|tahoma|segoeui|nirmala|leelaw|yugoth|meiryo|msyh|msjh)",
    re.I,
)
# Asked first for what the chosen font lacks: wide coverage, and shapes that go with a sans serif headline.
FALLBACKS = (
    BUNDLED,
    EMOJI,
    "NotoSansCJK",
    "NotoSansKR",
    "AppleSDGothicNeo",
    "malgun",
    "NanumGothic",
    "NotoSans",
    "DejaVuSans",
)
KOREAN_IN_COLLECTION = re.compile(r"^noto(sans|serif)cjk", re.I)  # .ttc in the order JP, KR, SC, TC, HK


class FontFile(NamedTuple):
    """One face in one file."""

    path: Path
    face: int  # its number in a collection (.ttc), else 0
    weight: int  # 100..900, by the file's name; a variable font has them all
    changed: int = 0  # ns: what is kept of a font goes by its file, which a user may replace


Families = dict[str, tuple[FontFile, ...]]


def system_folders() -> list[Path]:
    """Where this operating system keeps fonts; they need not exist."""
    try:
        home = Path.home()
    except RuntimeError:  # a service's user may have none
        home = Path("/nonexistent")
    return {
        "win32": [Path("C:/Windows/Fonts")],
        "darwin": [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"],
    }.get(sys.platform, [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".local/share/fonts"])


def split_name(stem: str) -> tuple[str, int]:
    """A file's stem -> family and weight: "NanumGothicExtraBold" -> ("NanumGothic", 800).

    Italics are a family of their own ("DejaVuSans Italic"), since they are no weight.
    """
    stem = re.sub(r"[-_ ]?(\[.*\]|VariableFont.*|Variable|VF)$", "", stem)
    upright = re.sub(r"[-_ ]?(Italic|Oblique)$", "", stem)
    slant = " Italic" if upright and upright != stem else ""
    stem = upright or stem
    if short := re.fullmatch(r"(NanumSquare.*?)[-_]?(L|R|B|EB)", stem):  # NanumSquareRoundEB
        return short[1], {"L": 300, "R": 400, "B": 700, "EB": 800}[short[2]]
    for word in sorted(FONT_WEIGHTS, key=len, reverse=True):
        if stem.lower().endswith(word) and len(stem) > len(word):
            return stem[: -len(word)].rstrip("-_ ") + slant, FONT_WEIGHTS[word]
    return stem + slant, 400


def families_in(folders: Iterable[Path], wanted: re.Pattern[str] | None = None) -> Families:
    """Family name -> its files, sorted by weight."""
    found: dict[str, list[FontFile]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.suffix.lower() in FONT_SUFFIXES and (wanted is None or wanted.match(path.stem)):
                name, weight = split_name(path.stem)
                index = 1 if path.suffix.lower() == ".ttc" and KOREAN_IN_COLLECTION.match(path.stem) else 0
                found.setdefault(name, []).append(FontFile(path, index, weight, _changed(path)))
    return {name: tuple(sorted(files, key=lambda file: file.weight)) for name, files in found.items()}


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # a link to nowhere: who opens it hears of it
        return 0


@lru_cache(maxsize=1)
def system_families() -> Families:
    """Installed families with a name in SYSTEM_NAMES; looked for once."""
    return families_in(system_folders(), SYSTEM_NAMES)


def all_families(extra_folders: Iterable[Path] = ()) -> Families:
    """The bundled family, then those of `extra_folders` (ComfyUI's), then installed ones, each sorted by name."""
    own, extra = families_in([BUNDLED_FOLDER]), families_in(extra_folders)
    merged = {BUNDLED: own[BUNDLED]}
    for families in (own, extra, system_families()):
        for name in sorted(families):
            merged.setdefault(name, families[name])
    return merged


def coverage(path: Path, index: int) -> frozenset[int]:
    """Code points that a font has as outlines. Raises InputError for a file that is no font."""
    return _good(path, index).points


def _good(path: Path, index: int) -> font_files.OpenedFont:
    found = font_files.opened(path, index)
    if found.fault:
        raise InputError("font", path.name, f"a TrueType or OpenType font that can be read; {found.fault}")
    return found


@lru_cache(maxsize=64)  # half a megabyte each, a large CJK font three
def sized(file: FontFile, size: float, weight: int) -> ImageFont.FreeTypeFont | ColorFont:
    """A font at `size` pixels an em; a variable one at `weight`."""
    from PIL import ImageFont

    good = _good(file.path, file.face)
    axes = good.axes
    if good.strike is not None:
        return ColorFont(file.path, file.face, size, good.strike, file.changed)
    try:
        font = ImageFont.truetype(file.path, size, file.face)
        if axes:
            font.set_variation_by_axes(
                [min(max(weight, a.low), a.high) if a.tag == "wght" else a.default for a in axes]
            )
    except (OSError, ValueError, MemoryError) as error:
        raise InputError("font", file.path.name, f"a font that FreeType can read; {error}") from error
    return font


class Bearings(NamedTuple):
    """Where a character's ink lies, in em."""

    left: float  # space between the ink and the ends of the advance width; negative where ink reaches beyond
    right: float
    middle: float  # of the ink, downwards from the baseline


@lru_cache(maxsize=4096)
def side_bearings(file: FontFile, weight: int, text: str) -> Bearings | None:
    """By looking at the pixels, since Pillow's boxes count the advance width in; None where nothing is drawn."""
    font = sized(file, EM, weight)
    if isinstance(font, ColorFont):
        return _of_picture(file, font, text)
    try:
        left, top, right, bottom = font.getbbox(text, anchor="ls")  # measured before it is drawn: no picture yet
        fits = max(right - left, bottom - top) <= WIDEST_LETTER * EM * len(text)
        picture, offset = font.getmask2(text, "L", anchor="ls") if fits else (None, (0, 0))
    except (OSError, ValueError, MemoryError) as error:
        raise InputError("font", file.path.name, f"a font whose {text!r} can be drawn; {error}") from error
    if picture is None:
        raise InputError("font", file.path.name, f"letters of at most {WIDEST_LETTER} em; {text!r} is larger")
    box = picture.getbbox()
    if box is None:
        return None
    return Bearings(
        (offset[0] + box[0]) / EM,
        (font.getlength(text) - offset[0] - box[2]) / EM,
        (offset[1] + (box[1] + box[3]) / 2) / EM,
    )


def _of_picture(file: FontFile, font: ColorFont, text: str) -> Bearings | None:
    try:
        left, top, right, bottom = font.getbbox(text)
        beyond = font.getlength(text) - right
    except (OSError, ValueError, MemoryError) as error:
        raise InputError("font", file.path.name, f"a font whose {text!r} can be drawn; {error}") from error
    return Bearings(left / EM, beyond / EM, (top + bottom) / 2 / EM) if right > left else None


def is_blank(file: FontFile, weight: int, text: str) -> bool:
    """Whether the font draws nothing for a character that is no space: an empty glyph is as bad as a missing one."""
    visible = {ord(character) for character in text if not character.isspace()} - INVISIBLE
    return bool(visible) and side_bearings(file, weight, text) is None


SHOWN_AS_PICTURE = 0xFE0F  # asks for the coloured form; a font need not have it


class Typeface:
    """One family, with the others behind it for the characters that it lacks."""

    def __init__(self, families: Families, name: str):
        if not isinstance(name, str) or name not in families:
            raise InputError("font", name, "one of: " + ", ".join(families))
        rank = {fallback: place for place, fallback in enumerate(FALLBACKS)}
        others = sorted((other for other in families if other != name), key=lambda o: rank.get(o, len(rank)))
        self._chosen = families[name]
        # Coloured ones that a person put into ComfyUI's folder come first; those of a system would make another picture
        # on each machine.
        self._colored = [
            file
            for other in others
            for file in families[other]
            if _may_be_colored(other) and not any(file.path.is_relative_to(folder) for folder in system_folders())
        ]
        # Before any font but the bundled one, which draws its few as heavy as its letters: elsewhere they are hairlines.
        self._emoji = families.get(EMOJI, ()) if name != BUNDLED else ()
        self._others = [families[other] for other in others]

    def file_for(self, text: str, weight: int) -> FontFile | None:
        """The file of the first family that has every character of `text`, in the weight nearest to `weight`.

        Raises InputError where the chosen family's file is no font; a broken one behind it is passed over, whether it
        is its tables or this letter that cannot be read.
        """
        points = {ord(character) for character in text} - INVISIBLE
        if font_files.PICTURE.match(text) and (colored := self._colored_for(text)):
            return colored
        if (
            self._emoji
            and font_files.PICTURE.match(text)
            and points <= coverage(*(file := _nearest(self._emoji, weight))[:2])
        ):
            return file
        nearest = _nearest(self._chosen, weight)
        if points <= coverage(nearest.path, nearest.face):
            return nearest
        for files in self._others:
            nearest = _nearest(files, weight)
            try:
                if points <= coverage(nearest.path, nearest.face):
                    for letter in set(text):
                        side_bearings(nearest, weight, letter)
                    return nearest
            except InputError:
                continue
        return None

    def _colored_for(self, text: str) -> FontFile | None:
        """A face that draws all of `text` in colours, the chosen one first."""
        for file in (*self._chosen, *self._colored):
            found = font_files.opened(file.path, file.face)
            points = {ord(character) for character in text} - INVISIBLE - {SHOWN_AS_PICTURE}
            if found.strike is None or found.fault or not points <= found.points:
                continue
            try:
                if side_bearings(file, 400, text) is not None:
                    return file
            except InputError:
                continue
        return None


def _may_be_colored(family: str) -> bool:
    """By its name: to open every font of a folder would take seconds."""
    return bool(re.search("emoji|emj", family, re.IGNORECASE))


def _nearest(files: tuple[FontFile, ...], weight: int) -> FontFile:
    """The file whose weight is nearest; of two that are equally near the bolder one."""
    return min(files, key=lambda file: (abs(file.weight - weight), -file.weight))


# Characters that shape others and have no picture of their own: a font need not have them.
INVISIBLE = {0x200C, 0x200D, 0x200E, 0x200F, 0x202F, 0xA0}


def has_complex_shaping() -> bool:
    """Whether Pillow can write right-to-left and complex scripts here (raqm, with fribidi)."""
    from PIL import features

    return bool(features.check("raqm") and features.check("fribidi"))


def chosen_or(chosen: str, family: str, families: Families) -> tuple[str, list[str]]:
    """The family that a person chose, "" where nobody did; else `family`, and a note where this machine has not the first."""
    if not chosen or chosen in families:
        return chosen or family, []
    return family, [f"the font {chosen}, chosen by hand, is not installed here: {family} was used"]
