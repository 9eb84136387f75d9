"""File names from templates: tokens filled in, and every part a name that is safe on every system."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime

from ..errors import InputError
from ..paths import is_device

COUNTER = "%counter%"
LONGEST_NAME = 255  # bytes of a name: what ext4, APFS and NTFS hold
LONGEST_TEMPLATE = 2000  # characters
DEEPEST_FOLDER = 16  # folders
FORBIDDEN = '<>:"|?*'
# They turn the direction of what is read, so that "gpj.exe" looks like "exe.jpg".
TURNS = set("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_DATE = re.compile("dd?|MM?|hh?|mm?|ss?|yyyy|yy")
OF_A_RUN = ("width", "height", "batch_num", "format", "seed")  # tokens that are known once a picture is there
_TOKEN = re.compile("%([^%]+)%")


def fill(template: str, values: Mapping[str, str], when: datetime, widget: Callable[[str, str], str | None]) -> str:
    """`template` with its tokens replaced, but for %counter%, which is known only when the file is written.

    Tokens are ComfyUI's own (%width%, %height%, %batch_num%, %year% … %second%, %date:yyyy-MM-dd%, %Node.widget%) and the
    keys of `values`. `widget(node, name)` gives the value of a node's widget, or None. What comes from a widget cannot
    make folders. Raises InputError for a token that nobody knows; a lone % stays.
    """
    if not isinstance(template, str) or len(template) > LONGEST_TEMPLATE:
        raise InputError("filename", template, f"a text of at most {LONGEST_TEMPLATE} characters")
    known = {**_moment(when), **{name: harmless(value) for name, value in values.items()}}

    def value(match: re.Match[str]) -> str:
        token = match[1]
        if match[0] == COUNTER:
            return COUNTER
        if token in known:
            return known[token]
        if token.startswith("date:"):
            return _DATE.sub(lambda part: _date_part(part[0], when), token.removeprefix("date:"))
        node, dot, name = token.rpartition(".")
        if dot:
            found = widget(node, name)
            if found is not None:
                return harmless(found)
        elif not re.fullmatch(r"\w+", token):
            return match[0]  # "50% to 70% off"
        raise InputError(
            "filename",
            template,
            f"tokens that can be filled in; %{token}% is none of: "
            + ", ".join(f"%{name}%" for name in ["counter", *known, "date:yyyy-MM-dd", "Node title.widget"]),
        )

    return _TOKEN.sub(value, template)


def require_template(template: str) -> None:
    """Raise InputError for a template that no run can fill in, or that leads out of the output folder."""
    known = {name: "0" for name in OF_A_RUN}
    split(fill(template, known, datetime.now(), lambda node, name: "x"))


def split(name: str) -> tuple[str, ...]:
    """Folders and, last, the name: "ads/summer/cup" -> ("ads", "summer", "cup"). Both slashes part, on every system.

    Composed (NFC), as most systems store names. Raises InputError for whatever leaves the folder or that some system
    cannot store, or stores under another name.
    """
    path = unicodedata.normalize("NFC", name).replace("\\", "/")
    if path.startswith("/"):
        raise InputError("filename", name, "a path inside the output folder, without a slash at its start")
    *folders, last = path.split("/")
    parts = (*(folder for folder in folders if folder), last)
    if len(parts) > DEEPEST_FOLDER + 1:
        raise InputError("filename", name, f"at most {DEEPEST_FOLDER} folders")
    for part in parts:
        problem = _problem(part)
        if problem:
            raise InputError("filename", name, f"names that every system can store; {part[:40]!r} {problem}")
    if any(COUNTER in folder for folder in parts[:-1]):
        raise InputError("filename", name, "%counter% in the file's name, not in a folder's")
    return parts


def require_length(filename: str) -> str:
    """`filename` if every usual file system holds it. Raises InputError otherwise."""
    if len(filename.encode()) > LONGEST_NAME:
        raise InputError("filename", filename, f"at most {LONGEST_NAME} bytes with number and ending")
    return filename


def harmless(value: str) -> str:
    """A text from somewhere else as part of a name: what has a meaning in paths becomes "_", as in ComfyUI's editor."""
    return re.sub(r'[/?<>\\:*|"\x00-\x1f\x7f]', "_", value)


def _problem(part: str) -> str:
    """What is wrong with a folder or file name, "" if nothing."""
    if not part:
        return "is empty"
    if part.startswith(".") or part.endswith("."):
        return "starts or ends with a dot"
    if part != part.strip():
        return "starts or ends with a space"
    for character in part:
        if character in FORBIDDEN:
            return f"has a {character} in it"
        if unicodedata.category(character) in ("Cc", "Cs") or character in TURNS:
            return f"has the control character U+{ord(character):04X} in it"
    if is_device(part):
        return "is a device on Windows"
    if len(part.encode()) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} bytes"
    return ""


def _moment(when: datetime) -> dict[str, str]:
    names = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "minute": "%M", "second": "%S"}
    return {name: when.strftime(pattern) for name, pattern in names.items()}


def _date_part(pattern: str, when: datetime) -> str:
    """As ComfyUI's editor writes it: d, M, h, m, s with as many digits as letters, yy and yyyy."""
    if pattern[0] == "y":
        return f"{when.year:04}"[-len(pattern) :]
    number = {"d": when.day, "M": when.month, "h": when.hour, "m": when.minute, "s": when.second}[pattern[0]]
    return f"{number:0{len(pattern)}}"
