"""A brand as data: a folder with brand.yaml and its logos. Strangers' folders are read too.

    BRAND/brand.yaml   title: Morning Grove
                       logo: {on_light: logo.png, on_dark: logo-white.png}
                       colors: {primary: "#1f4d3a", accent: "#e2553d", ink: "#16241d", paper: "#ffffff"}
                       font: Pretendard
                       contact: morninggrove.example · 02-000-0000
                       keep: [Morning Grove, 모닝그로브]

`logo` may also be one file for both grounds. All but `title` may be left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..contrast import DARK, LIGHT, require_color
from ..errors import InputError
from ..paths import inside
from ..prompt.presets import PresetError, read_yaml
from ..text.design import AUTO, Design
from ..text.fonts import BUNDLED as BUNDLED_FONT

if TYPE_CHECKING:
    from ..layout.layout import Layout

BUNDLED = Path(__file__).parents[2] / "models" / "brands"
EXAMPLE_BRAND = "example"
BRAND_FILE = "brand.yaml"
BRAND_FOLDER_NAME = re.compile(r"[A-Za-z0-9가-힣][A-Za-z0-9가-힣_ -]{0,63}")
LOGO_ENDINGS = (".svg", ".png", ".webp", ".jpg", ".jpeg")
MOST_BRANDS = 200  # of one folder
MOST_FILES_OF_BRAND = 200
MOST_WORDS_KEPT = 200  # words
LONGEST_BRAND_LINE = 200  # characters of a title or a contact line
GROUNDS = ("on_light", "on_dark")
COLOR_ROLES = ("primary", "accent", "ink", "paper")
BRAND_FIELDS = ("title", "logo", "colors", "font", "contact", "keep")


class BrandError(InputError):
    """A brand's folder that cannot be used: which field, what is there, what would be right."""


class BrandColors(NamedTuple):
    """ "#rrggbb" by what they are for."""

    primary: str = "#1f1f1f"  # buttons, headlines where they can be read
    accent: str = "#d92b2b"  # badges
    ink: str = DARK  # letters on light grounds
    paper: str = LIGHT  # letters on dark grounds


@dataclass(frozen=True)
class Brand:
    """What makes an advertisement one brand's."""

    name: str  # of its folder
    title: str
    on_light: Path | None = None  # the logo for light grounds
    on_dark: Path | None = None
    colors: BrandColors = BrandColors()  # noqa: RUF009, immutable
    font: str = ""  # a family; "": whatever is chosen
    contact: str = ""
    keep: tuple[str, ...] = ()  # words that are never translated

    @property
    def glossary(self) -> str:
        """`keep`, a word a line, as Ad Prompt's `glossary` takes it."""
        return "\n".join(self.keep)


class Brands(NamedTuple):
    """All brands that could be read."""

    brands: Mapping[str, Brand]  # name -> brand
    problems: tuple[str, ...]  # folders that could not be used, and why


def read_brands(*folders: Path) -> Brands:
    """The brands of these folders; a later one's replaces an earlier one of the same name. A broken brand is named and
    stops no other."""
    brands: dict[str, Brand] = {}
    problems = []
    for folder in folders:
        for path in _brand_folders(folder):
            try:
                brands[path.name] = read_brand(path)
            except InputError as error:
                problems.append(f"brand {path.name}: {error}")
    return Brands(brands, tuple(problems))


def known_brands(*folders: Path) -> Brands:
    """`read_brands`, read anew when a file of theirs has changed: a run asks several times."""
    return _read_at(folders, brand_stamps(*folders))


@lru_cache(maxsize=2)
def _read_at(folders: tuple[Path, ...], stamps: tuple[tuple[str, int, int], ...]) -> Brands:
    return read_brands(*folders)


def brand_stamps(*folders: Path) -> tuple[tuple[str, int, int], ...]:
    """What changes when a brand or one of its files is added, changed or removed."""
    found = []
    for folder in folders:
        for path in _brand_folders(folder):
            for file in [path / BRAND_FILE, *sorted(path.iterdir())[:MOST_FILES_OF_BRAND]]:
                if file.suffix.lower() in (*LOGO_ENDINGS, ".yaml") and file.is_file():
                    stat = file.stat()
                    found.append((f"{path.name}/{file.name}", stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def _brand_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    named = (path for path in sorted(folder.iterdir()) if BRAND_FOLDER_NAME.fullmatch(path.name))
    return [path for path, _ in zip((path for path in named if (path / BRAND_FILE).is_file()), range(MOST_BRANDS))]


def read_brand(folder: Path) -> Brand:
    """A brand from its folder; logos are not opened yet. Raises BrandError that names the field."""
    try:
        record = read_yaml(folder / BRAND_FILE, BRAND_FILE)
    except PresetError as error:
        raise BrandError(error.name, error.shown, error.wanted) from None
    if not isinstance(record, Mapping):
        raise BrandError(BRAND_FILE, record, "lines such as title: Morning Grove")
    for field in record:
        if field not in BRAND_FIELDS:
            raise BrandError(BRAND_FILE, field, "only the fields " + ", ".join(BRAND_FIELDS))
    on_light, on_dark = _logos(record.get("logo"), folder)
    return Brand(
        folder.name,
        _line("title", record.get("title"), required=True),
        on_light,
        on_dark,
        _colors(record.get("colors")),
        _line("font", record.get("font")),
        _line("contact", record.get("contact")),
        _kept(record.get("keep")),
    )


def _line(field: str, value: Any, required: bool = False) -> str:
    if value is None and not required:
        return ""
    text = value.strip() if isinstance(value, str) else ""
    if (
        (not text and required)
        or not isinstance(value, str)
        or len(text) > LONGEST_BRAND_LINE
        or not text.isprintable()
    ):
        raise BrandError(field, value, f"one line of at most {LONGEST_BRAND_LINE} characters")
    return text


def _logos(value: Any, folder: Path) -> tuple[Path | None, Path | None]:
    """The files for light and for dark grounds; one that is missing is the other's."""
    if value is None:
        return None, None
    files = dict.fromkeys(GROUNDS, value) if isinstance(value, str) else value
    if not isinstance(files, Mapping) or not files or any(ground not in GROUNDS for ground in files):
        raise BrandError("logo", value, "a file name, or {on_light: FILE, on_dark: FILE}")
    found = {ground: _logo_file(ground, name, folder) for ground, name in files.items()}
    first = next(iter(found.values()))
    return found.get("on_light", first), found.get("on_dark", first)


def _logo_file(ground: str, name: Any, folder: Path) -> Path:
    path = inside(folder, name) if isinstance(name, str) and name.strip() else None
    is_beside = path is not None and path.parent == folder.resolve()  # `brand_stamps` looks no deeper
    if path is None or not is_beside or path.suffix.lower() not in LOGO_ENDINGS or not path.is_file():
        raise BrandError(f"logo.{ground}", name, f"a file in the brand's folder: {', '.join(LOGO_ENDINGS)}")
    return path


def _colors(value: Any) -> BrandColors:
    if value is None:
        return BrandColors()
    if not isinstance(value, Mapping) or any(role not in COLOR_ROLES for role in value):
        raise BrandError("colors", value, f"{{{', '.join(f'{role}: #rrggbb' for role in COLOR_ROLES)}}}")
    try:
        given = {role: require_color(f"colors.{role}", color) for role, color in value.items()}
    except InputError as error:
        raise BrandError(error.name, error.shown, f'{error.wanted}, in quotation marks: "#1a2b3c"') from None
    if "primary" in given:
        given.setdefault("accent", given["primary"])
    return BrandColors(**given)


def _kept(value: Any) -> tuple[str, ...]:
    words = [] if value is None else value
    if not isinstance(words, list) or len(words) > MOST_WORDS_KEPT:
        raise BrandError("keep", value, f"a list of at most {MOST_WORDS_KEPT} words")
    return tuple(_line("keep", word, required=True) for word in words)


def require_brand(name: str, value: Any) -> Brand:
    """A Brand. Raises InputError for anything else: a prompt may bring any value in place of a link."""
    if not isinstance(value, Brand):
        raise InputError(name, value, "the output of Brand, or nothing")
    return value


def branded_font(font: str, brand: Brand | None, known: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The brand's family where the bundled one is chosen, else `font`; and a note where this machine has it not."""
    if brand is None or not brand.font or font != BUNDLED_FONT or brand.font == font:
        return font, []
    if brand.font not in known:
        return font, [f"the brand's font {brand.font} is not installed here: put its file into models/fonts"]
    return brand.font, []


def branded_design(design: Design, brand: Brand | None) -> Design:
    """The design with the brand's colours for letters whose colour is automatic."""
    if brand is None or design.color != AUTO:
        return design
    return replace(design, palette=(brand.colors.primary, brand.colors.ink, brand.colors.paper))


def branded_layout(layout: Layout, picture: Any, brand: Brand | None) -> Layout:
    """The layout with its words in the first of the brand's colours that can be read on `picture` [H, W, 3] in their box,
    as it is where none can."""
    from ..layout.room import pixels_in
    from ..text.colors import readable_one

    if brand is None:
        return layout
    under = pixels_in(picture, layout.text)
    color = readable_one((brand.colors.primary, brand.colors.ink, brand.colors.paper), under, layout.scrim)
    return layout if color is None else replace(layout, text_color=color)
