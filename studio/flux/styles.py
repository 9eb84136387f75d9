"""Which LoRA belongs to which style: a table that comes with the pack, and the user's own before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError, require_number

BUNDLED = Path(__file__).with_name("styles.yaml")
LARGEST = 256 * 1024  # bytes
MOST_NAMES = 200
STRONGEST = 10.0


class StyleLora(NamedTuple):
    file: str  # a name in models/loras, without folders
    strength: float
    source: str  # where to get it, for the user to read


def read(path: Path) -> dict[str, tuple[StyleLora, ...]]:
    """Style -> its LoRAs in the order to try them. Raises InputError that names the style and what is wrong with it."""
    import yaml

    if path.stat().st_size > LARGEST:
        raise InputError(path.name, f"{path.stat().st_size} bytes", f"at most {LARGEST} bytes")
    try:
        text = path.read_text("utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise InputError(path.name, "*alias", "no aliases: write the entry out")
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InputError(path.name, str(path), f"YAML that can be read; {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or len(content) > MOST_NAMES:
        raise InputError(path.name, type(content).__name__, f"up to {MOST_NAMES} styles with a list of LoRAs each")
    return {_name(path, style): tuple(_lora(path, style, entry) for entry in _list(path, style, entries))
            for style, entries in content.items()}  # fmt: skip


def _name(path: Path, style: Any) -> str:
    if not isinstance(style, str) or not style.strip() or not style.isprintable() or len(style) > 60:
        raise InputError(path.name, style, "a style's name of up to 60 characters")
    return style


def _list(path: Path, style: str, entries: Any) -> list[Any]:
    if not isinstance(entries, list):
        raise InputError(path.name, f"{style}: {entries!r}", "a list of {file, strength, source}")
    return entries


def _lora(path: Path, style: str, entry: Any) -> StyleLora:
    where = f"{style}: {entry!r}"
    if not isinstance(entry, dict) or not {"file"} <= entry.keys() <= {"file", "strength", "source"}:
        raise InputError(path.name, where, "{file: NAME.safetensors, strength: 0.8, source: where to get it}")
    file = entry["file"]
    if not isinstance(file, str) or not file.endswith(".safetensors") or "/" in file or "\\" in file:
        raise InputError(path.name, where, "a file name that ends in .safetensors, without folders")
    strength = require_number(f"{path.name}, {style}, strength", entry.get("strength", 1.0), -STRONGEST, STRONGEST)
    source = entry.get("source", "")
    if not isinstance(source, str):
        raise InputError(path.name, where, "text as source")
    return StyleLora(file, float(strength), source)


def table(user_file: Path) -> dict[str, tuple[StyleLora, ...]]:
    """The pack's table with the user's entries over it. Raises InputError where the user's cannot be read."""
    return {**read(BUNDLED), **(read(user_file) if user_file.is_file() else {})}
