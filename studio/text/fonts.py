"""Fonts by family name and weight, and which characters they have. Only files from lists of folders, never a path."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InputError

if TYPE_CHECKING:
    from PIL import ImageFont

BUNDLED = "Pretendard"
BUNDLED_FOLDER = Path(__file__).parent.parent.parent / "fonts"
ENDINGS = {".otf", ".ttf", ".ttc"}

# CSS font-weight of the words that end a font file's name (CSS Fonts 4, "common weight name mapping").
WEIGHTS = {
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

# Installed fonts that can write Korean, told by their names: reading every font of a system would take seconds.
SYSTEM_NAMES = re.compile(r"^(nanum|notosanscjk|notoserifcjk|notosanskr|notoserifkr|applesdgothicneo|malgun)", re.I)
KOREAN_IN_COLLECTION = re.compile(r"^noto(sans|serif)cjk", re.I)  # .ttc in the order JP, KR, SC, TC, HK


class FontFile(NamedTuple):
    path: Path
    face: int  # its number in a collection (.ttc), else 0
    weight: int  # 100..900, by the file's name; a variable font has them all


Families = dict[str, tuple[FontFile, ...]]


def system_folders() -> list[Path]:
    home = Path.home()
    return {
        "win32": [Path("C:/Windows/Fonts")],
        "darwin": [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"],
    }.get(sys.platform, [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".local/share/fonts"])


def split_name(stem: str) -> tuple[str, int]:
    """A file's stem -> family and weight: "NanumGothicExtraBold" -> ("NanumGothic", 800)."""
    stem = re.sub(r"[-_ ]?(\[.*\]|VariableFont.*|Variable|VF)$", "", stem)
    for word in sorted(WEIGHTS, key=len, reverse=True):
        if stem.lower().endswith(word) and len(stem) > len(word):
            return stem[: -len(word)].rstrip("-_ "), WEIGHTS[word]
    return stem, 400


def families_in(folders: Iterable[Path], wanted: re.Pattern[str] | None = None) -> Families:
    """Family name -> its files, sorted by weight."""
    found: dict[str, list[FontFile]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.suffix.lower() in ENDINGS and (wanted is None or wanted.match(path.stem)):
                name, weight = split_name(path.stem)
                index = 1 if path.suffix.lower() == ".ttc" and KOREAN_IN_COLLECTION.match(path.stem) else 0
                found.setdefault(name, []).append(FontFile(path, index, weight))
    return {name: tuple(sorted(files, key=lambda file: file.weight)) for name, files in found.items()}


@lru_cache(maxsize=1)
def system_families() -> Families:
    """Installed families that can write Korean; looked for once."""
    return families_in(system_folders(), SYSTEM_NAMES)


def all_families(extra_folders: Iterable[Path] = ()) -> Families:
    """The bundled family, then those of `extra_folders` (ComfyUI's), then installed ones, each sorted by name."""
    own, extra = families_in([BUNDLED_FOLDER]), families_in(extra_folders)
    merged = {BUNDLED: own[BUNDLED]}
    for families in (own, extra, system_families()):
        for name in sorted(families):
            merged.setdefault(name, families[name])
    return merged


@lru_cache(maxsize=64)
def coverage(path: Path, index: int) -> frozenset[int]:
    """Code points that a font has. Raises InputError for a file that is no font."""
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(path, fontNumber=index, lazy=True) as font:
            return frozenset(font.getBestCmap() or ())
    except (TTLibError, OSError, KeyError, AssertionError, ValueError) as error:
        raise InputError("font", path.name, f"a TrueType or OpenType font that can be read; {error}") from error


@lru_cache(maxsize=256)
def sized(file: FontFile, size: float, weight: int) -> ImageFont.FreeTypeFont:
    """A font at `size` pixels an em; a variable one at `weight`."""
    from PIL import ImageFont

    try:
        font = ImageFont.truetype(file.path, size, file.face)
    except OSError as error:
        raise InputError("font", file.path.name, f"a font that FreeType can read; {error}") from error
    try:
        axes = font.get_variation_axes()
    except (OSError, NotImplementedError):
        return font  # no variable font
    values = [
        min(max(weight, axis["minimum"]), axis["maximum"]) if axis["name"] in (b"Weight", "Weight") else axis["default"]
        for axis in axes
    ]
    font.set_variation_by_axes(values)
    return font


class Typeface:
    """One family, with the others behind it for the characters that it lacks."""

    def __init__(self, families: Families, name: str):
        if name not in families:
            raise InputError("font", name, "one of: " + ", ".join(families))
        self._order = [families[name], *(files for other, files in families.items() if other != name)]

    def file_for(self, text: str, weight: int) -> FontFile | None:
        """The file of the first family that has every character of `text`, in the weight nearest to `weight`."""
        points = {ord(character) for character in text} - INVISIBLE
        for files in self._order:
            nearest = min(files, key=lambda file: (abs(file.weight - weight), -file.weight))
            if points <= coverage(nearest.path, nearest.face):
                return nearest
        return None


# Characters that shape others and have no picture of their own: a font need not have them.
INVISIBLE = {0x200C, 0x200D, 0x200E, 0x200F, 0x202F, 0xA0}


def has_complex_shaping() -> bool:
    """Whether Pillow can write right-to-left and complex scripts here (raqm, with fribidi)."""
    from PIL import features

    return bool(features.check("raqm") and features.check("fribidi"))
