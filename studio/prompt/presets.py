"""Trades and styles as data: YAML files of the pack, and of its user. A broken file is named and stops no other."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..errors import InputError, require_number

if TYPE_CHECKING:
    from collections.abc import Callable

BUNDLED = Path(__file__).parent / "presets"
AUTO = "auto"
KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
LARGEST_FILE = 64 * 1024  # bytes
MOST_FILES = 200
DEEPEST_NESTING = 10  # brackets within brackets; a preset has four
LONGEST_PHRASE = 400  # characters of one phrase
MOST_LORAS = 24  # of one style
STRONGEST_LORA = 10.0  # beyond it there is noise only
FALLBACK_TRADE = "shop"
LISTS = ("theme", "light", "props", "colours")
FIELDS = ("subject", "theme", "details", "light", "props", "colours", "mood", "framing", "lens")
_BRACES = re.compile(r"\{([^{}]*)\}|[{}]")
_Preset = TypeVar("_Preset")


class PresetError(InputError):
    """A preset file that cannot be used: which field, what stands there, what would be right."""


class Name(NamedTuple):
    """What a preset is called in both languages."""

    en: str
    ko: str


@dataclass(frozen=True)
class Trade:
    """How an advertisement of one trade looks. Of each tuple one phrase is chosen by the seed."""

    key: str
    name: Name
    keywords: tuple[str, ...]  # Korean and English, by which the trade is found in a text
    subject: str  # where the text names no product
    products: Mapping[str, str]  # Korean word -> what the picture shows
    theme: tuple[str, ...]
    light: tuple[str, ...]
    props: tuple[str, ...]
    colours: tuple[str, ...]
    framing: tuple[str, ...]
    lens: tuple[str, ...]
    negative: tuple[str, ...]


class Lora(NamedTuple):
    """What draws a style, where it is installed; never fetched."""

    file: str  # a name in models/loras, without folders
    source: str  # where to get it, for the user to read
    strength: float  # -STRONGEST_LORA to STRONGEST_LORA


@dataclass(frozen=True)
class Style:
    """How pictures look: sentences around what is advertised."""

    key: str
    name: Name
    sentences: tuple[str, ...]  # with fields of FIELDS in braces; the first one carries {subject}
    negative: tuple[str, ...]
    loras: tuple[Lora, ...]  # in the order to try them


@dataclass(frozen=True)
class Vocabulary:
    """Korean stems with what they mean in a picture, by kind; and those that mean nothing in one."""

    kinds: Mapping[str, Mapping[str, str]]
    empty: tuple[str, ...]


@dataclass(frozen=True)
class Library:
    """All presets that could be read."""

    trades: Mapping[str, Trade]
    styles: Mapping[str, Style]
    words: Vocabulary
    problems: tuple[str, ...] = ()  # a line for each file that was left out


class Heading(NamedTuple):
    """Of a preset what a list shows."""

    key: str
    name: Name


class Headings(NamedTuple):
    """What lists show of a library, read without the whole of it."""

    trades: Mapping[str, Heading | Trade]
    styles: Mapping[str, Heading | Style]


def find(name: str, value: str, known: Mapping[str, Any]) -> Any:
    """The preset that a widget names by its key, or as older workflows do by "key · anything".

    Raises InputError with the list of keys.
    """
    key = value.split(" · ", 1)[0].strip() if isinstance(value, str) else ""
    if key not in known:
        raise InputError(name, value, "one of: " + ", ".join(known))
    return known[key]


def pick(choices: Sequence[str], seed: int, slot: str) -> str:
    """One of `choices`, the same for the same seed on every machine; slots of one seed are independent."""
    digest = hashlib.sha256(f"{seed}/{slot}".encode()).digest()
    return choices[int.from_bytes(digest[:8], "big") % len(choices)]


def read_library(*user_folders: Path) -> Library:
    """The pack's presets, and those in trades and styles of each folder; a later one takes the place of an earlier one."""
    library = _bundled()
    problems: list[str] = []
    trades, styles = dict(library.trades), dict(library.styles)
    for folder in user_folders:
        trades |= _folder(folder / "trades", trade, problems)
        styles |= _folder(folder / "styles", style, problems)
    return replace(library, trades=trades, styles=styles, problems=tuple(problems)) if user_folders else library


def read_headings(*user_folders: Path) -> Headings:
    """Key and name of every preset of `read_library`. Of the pack's own files the first line is read, which is their
    name: all of them would take a third of the pack's share of ComfyUI's start."""
    bundled = _bundled_headings()
    trades, styles = dict(bundled.trades), dict(bundled.styles)
    problems: list[str] = []
    for folder in user_folders:
        trades |= _folder(folder / "trades", trade, problems)
        styles |= _folder(folder / "styles", style, problems)
    return Headings(trades, styles)


@functools.lru_cache(maxsize=1)
def _bundled_headings() -> Headings:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    def heading(file: Path) -> Heading:
        with file.open(encoding="utf-8") as lines:
            return Heading(file.stem, _name(yaml.load(lines.readline(), loader)["name"]))

    trades, styles = (
        {file.stem: heading(file) for file in sorted((BUNDLED / kind).glob("*.yaml"))} for kind in ("trades", "styles")
    )
    trades[FALLBACK_TRADE] = trades.pop(FALLBACK_TRADE)  # last, as in the library
    return Headings(trades, styles)


@functools.lru_cache(maxsize=1)
def _bundled() -> Library:
    problems: list[str] = []
    trades = _folder(BUNDLED / "trades", trade, problems)
    styles = _folder(BUNDLED / "styles", style, problems)
    if problems:
        raise RuntimeError("; ".join(problems))
    kinds = dict(read_yaml(BUNDLED / "words.yaml"))
    empty = tuple(kinds.pop("empty"))
    # The trade for everything else comes last: it wins no tie.
    trades[FALLBACK_TRADE] = trades.pop(FALLBACK_TRADE)
    return Library(trades, styles, Vocabulary(kinds, empty))


def _folder(folder: Path, read: Callable[[str, Any], _Preset], problems: list[str]) -> dict[str, _Preset]:
    """Key -> preset of every *.yaml in `folder`; a line in `problems` for each that cannot be used."""
    if not folder.is_dir():
        return {}
    presets = {}
    files = sorted(folder.glob("*.yaml"))
    for file in files[:MOST_FILES]:
        try:
            if folder.resolve() not in file.resolve().parents:
                raise PresetError("file", file.name, "a file in this folder, not a link that leads out of it")
            if not KEY.fullmatch(file.stem):
                raise PresetError("file name", file.stem, "small letters a to z, digits and _, such as wine_bar.yaml")
            presets[file.stem] = _read_preset(read, file, *_edited(file))
        except PresetError as error:
            problems.append(f"{folder.name}/{file.name}: {error}")
    if len(files) > MOST_FILES:
        problems.append(f"{folder.name}: {len(files)} files; the first {MOST_FILES} are read")
    return presets


def stamps(*user_folders: Path) -> tuple[tuple[str, int, int], ...]:
    """Another value where a file that `read_library` reads was added, edited or taken away."""
    found = []
    for folder in user_folders:
        files = [file for kind in ("trades", "styles") for file in sorted((folder / kind).glob("*.yaml"))]
        found += [(f"{folder.parent.name}/{file.relative_to(folder)}", *_edited(file)) for file in files]
    return tuple(found)


def _edited(file: Path) -> tuple[int, int]:
    """When (nanoseconds) and to how many bytes a file was last written; (0, 0) for one that is not there."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=4 * MOST_FILES)
def _read_preset(read: Callable[[str, Any], _Preset], file: Path, changed: int, size: int) -> _Preset:
    """What a file holds; read once until `changed` or `size` is another: every list of nodes asks for all of them."""
    return read(file.stem, read_yaml(file))


def read_yaml(file: Path, name: str = "file") -> Any:
    """Plain values only. Raises PresetError for what is no YAML, for YAML that repeats itself (aliases, keys) or is nested
    deep, and for tags."""
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc,valid-type]
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            value = super().construct_mapping(node, deep)
            if len(value) < len(node.value):
                raise yaml.constructor.ConstructorError(problem="a key is there twice", problem_mark=node.start_mark)
            return value

    try:
        if file.stat().st_size > LARGEST_FILE:
            raise PresetError(name, f"{file.stat().st_size} bytes", f"at most {LARGEST_FILE}")
        text = file.read_text("utf-8")
        # Before anything is built: nine aliases of aliases are a billion entries, and building goes one C call deeper
        # for each bracket, until the process dies.
        depth = 0
        for event in yaml.parse(text, Loader=base):
            if isinstance(event, yaml.AliasEvent):
                raise PresetError(name, "*alias", "YAML without aliases")
            if getattr(event, "tag", None) is not None:
                raise PresetError(name, event.tag, "YAML without tags")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST_NESTING:
                raise PresetError(name, f"nested {depth} deep", f"at most {DEEPEST_NESTING}")
        return yaml.load(text, Loader)
    except (yaml.YAMLError, UnicodeDecodeError, OSError, RecursionError, ValueError, OverflowError) as error:
        if isinstance(error, PresetError):
            raise
        raise PresetError(name, " ".join(str(error).split()), "YAML in UTF-8") from None


def trade(key: str, value: Any) -> Trade:
    """A Trade from what its file holds. Raises PresetError that names the field."""
    fields = _mapping("the file", value, ("name", "keywords", "subject", "products", *LISTS, "camera", "negative"))
    camera = _mapping("camera", fields["camera"], ("framing", "lens"))
    products = fields["products"]
    if not isinstance(products, dict) or len(products) > 300:
        raise PresetError("products", products, "at most 300 lines of KOREAN WORD: what the picture shows")
    return Trade(
        key,
        _name(fields["name"]),
        _phrases("keywords", fields["keywords"], 100),
        _phrase("subject", fields["subject"]),
        {_phrase("products", word): _phrase(f"products: {word}", shown) for word, shown in products.items()},
        **{name: _phrases(name, fields[name]) for name in LISTS},
        framing=_phrases("camera: framing", camera["framing"]),
        lens=_phrases("camera: lens", camera["lens"]),
        negative=_phrases("negative", fields["negative"]),
    )


def style(key: str, value: Any) -> Style:
    """A Style from what its file holds. Raises PresetError that names the field."""
    fields = _mapping("the file", value, ("name", "sentences", "negative"), optional=("lora",))
    sentences = _phrases("sentences", fields["sentences"])
    for sentence in sentences:
        for match in _BRACES.finditer(sentence):
            if match[1] not in FIELDS:
                raise PresetError("sentences", match[0], "only the fields " + ", ".join(f"{{{f}}}" for f in FIELDS))
    if "{subject}" not in sentences[0]:
        raise PresetError("sentences", sentences[0], "{subject} in the first sentence")
    loras = _loras("lora", fields.get("lora", []))
    return Style(key, _name(fields["name"]), sentences, _phrases("negative", fields["negative"]), loras)


def read_loras(file: Path) -> dict[str, tuple[Lora, ...]]:
    """A user's own table: style -> its LoRAs, for a style of the presets or one that has nothing else; {} without the file.

    Raises PresetError that names the file, the style and what is wrong with it.
    """
    if not file.is_file():
        return {}
    content = read_yaml(file, file.name)
    if content is None:
        return {}
    if not isinstance(content, dict) or len(content) > MOST_FILES:
        raise PresetError(file.name, type(content).__name__, f"up to {MOST_FILES} styles with a list of LoRAs each")
    return {_phrase(file.name, style): _loras(f"{file.name}: {style}", loras) for style, loras in content.items()}


def style_loras(styles: Mapping[str, Style], table: Mapping[str, tuple[Lora, ...]]) -> dict[str, tuple[Lora, ...]]:
    """Every style by the name that a widget holds -> its LoRAs: those of a user's `table` in place of the preset's."""
    loras = {style.key: style.loras for style in styles.values()}
    return loras | {_key(styles, name): own for name, own in table.items()}


def style_names(styles: Mapping[str, Heading | Style], table: Iterable[str]) -> list[str]:
    """The keys of `style_loras`, for which names are enough."""
    return list(dict.fromkeys([*styles, *(_key(styles, name) for name in table)]))


def _key(styles: Mapping[str, Heading | Style], name: str) -> str:
    """The style's key for a name in a user's table, which may write "-" for "_"."""
    style = styles.get(name.replace("-", "_"))
    return name if style is None else style.key


def find_style(name: str, value: str, known: Mapping[str, Any]) -> str:
    """The name in `known` (those of `style_loras`) that a widget means: by it, by it with "-" for "_",
    or as older workflows do by "key · anything".

    Raises InputError with the list.
    """
    if isinstance(value, str):
        key = value.split(" · ", 1)[0].strip().replace("-", "_")
        for shown in known:
            if shown == value or shown.split(" · ", 1)[0] == key:
                return shown
    raise InputError(name, value, "one of: " + ", ".join(known))


def _loras(name: str, value: Any) -> tuple[Lora, ...]:
    entries = [value] if isinstance(value, dict) else value
    if not isinstance(entries, list) or len(entries) > MOST_LORAS:
        raise PresetError(
            name, value, f"up to {MOST_LORAS} of {{file: NAME.safetensors, strength: 0.8, source: where to get it}}"
        )
    return tuple(_lora(name, entry) for entry in entries)


def _lora(name: str, value: Any) -> Lora:
    fields = _mapping(name, value, ("file",), optional=("source", "strength"))
    file, source, strength = (
        _phrase(f"{name}: file", fields["file"]),
        fields.get("source", ""),
        fields.get("strength", 1.0),
    )
    if not file.endswith(".safetensors") or "/" in file or "\\" in file:
        raise PresetError(f"{name}: file", file, "a file name that ends in .safetensors, without folders")
    try:
        require_number(f"{name}: strength", strength, -STRONGEST_LORA, STRONGEST_LORA)
    except InputError as error:
        raise PresetError(
            f"{name}: strength", strength, f"a number from {-STRONGEST_LORA} to {STRONGEST_LORA}"
        ) from error
    return Lora(file, _phrase(f"{name}: source", source) if source else "", float(strength))


def _mapping(name: str, value: Any, required: Sequence[str], optional: Sequence[str] = ()) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PresetError(name, value, "the fields " + ", ".join(required))
    missing = [field for field in required if field not in value]
    unknown = [str(field) for field in value if field not in (*required, *optional)]
    if missing or unknown:
        found = f"without {', '.join(missing)}" if missing else f"with {', '.join(unknown)}"
        raise PresetError(name, found, "the fields " + ", ".join(required))
    return value


def _name(value: Any) -> Name:
    names = _mapping("name", value, ("en", "ko"))
    return Name(_phrase("name: en", names["en"]), _phrase("name: ko", names["ko"]))


def _phrase(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_PHRASE or not value.isprintable():
        raise PresetError(name, value, f"a phrase of 1 to {LONGEST_PHRASE} characters on one line (numbers in quotes)")
    return value.strip()


def _phrases(name: str, value: Any, most: int = 24) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise PresetError(name, value, f"a list of 1 to {most} phrases")
    return tuple(_phrase(name, phrase) for phrase in value)
