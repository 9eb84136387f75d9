"""Errors for what a user did wrong: which input, its value, and how to correct it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

LONGEST_MESSAGE = 4000  # characters of a message


class Bare(str):
    """A value that a message shows without quotation marks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


NOT_CONNECTED = Bare("not connected")


class InputError(ValueError):
    """An input that cannot be used. The message names the input, its value and what would be right, in two sentences.

    `wanted` is what the value should be, without a verb; `cure`, in its place, whole sentences that say what to do.
    """

    __module__ = "storefront"  # ComfyUI names an error by its module, which is a path of this machine

    def __init_subclass__(cls) -> None:
        cls.__module__ = InputError.__module__

    def __init__(self, name: str, value: object, wanted: str = "", *, cure: str = ""):
        shown = "missing" if value is None else "empty" if isinstance(value, str) and not value else _written(value)
        if len(shown) > 120:  # a prompt of 100,000 characters belongs in no log
            shown = f"{shown[:100]}... ({len(shown)} characters)"
        if len(wanted) > LONGEST_MESSAGE:  # what a stranger's file calls things
            wanted = f"{wanted[:LONGEST_MESSAGE]}... ({len(wanted)} characters)"
        super().__init__(f"`{name}` is {shown}. {cure or f'Expected: {wanted}.'}")
        self.name, self.shown, self.wanted, self.cure = name, shown, wanted, cure


def _written(value: object) -> str:
    """repr, also of what a file of strangers can hold: numbers beyond Python's limit of digits, lists in lists."""
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return f"{'an' if isinstance(value, int) else 'a'} {type(value).__name__} that cannot be shown"


class ModelFilesError(InputError):
    """A model folder that cannot be loaded: which file, what is wrong with it, how to get a good one."""


def require_number(name: str, value: float, low: float, high: float) -> float:
    """`value` if it is a finite number in low..high; InputError otherwise (NaN passes ComfyUI's own min and max)."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or (isinstance(value, float) and not math.isfinite(value))
    ):
        raise InputError(name, value, f"a finite number from {low} to {high}")
    if not low <= value <= high:
        raise InputError(name, value, f"a number from {low} to {high}")
    return value


def require_one_of(name: str, value: object, allowed: Iterable[str]) -> None:
    """Raise InputError with the list where `value` is not on it."""
    choices = list(allowed)
    if value not in choices:
        raise InputError(name, value, "one of: " + listed(choices))


def listed(choices: Iterable[object]) -> str:
    """Names between commas; each in quotes where one holds a comma itself, as the format '9:16 story, reel' does."""
    names = list(map(str, choices))
    return ", ".join(map(repr, names) if any("," in name for name in names) else names)


def require_fields(
    options: Any, choices: Mapping[str, Iterable[str]], ranges: Mapping[str, tuple[float, float]]
) -> None:
    """`require_one_of` and `require_number` for fields of the dataclass `options`, by their names; switches are booleans."""
    for name, allowed in choices.items():
        require_one_of(name, getattr(options, name), allowed)
    for name, (low, high) in ranges.items():
        require_number(name, getattr(options, name), low, high)
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if isinstance(field.default, bool) and not isinstance(value, bool):
            raise InputError(field.name, value, "True or False")


def require_unicode(name: str, text: str) -> None:
    """Raise InputError for half of a surrogate pair: JSON can carry one, no tokenizer can read it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(name, text[error.start : error.end], "text without halves of surrogate pairs") from error
