"""Notes and errors in the language of the editor that queued the prompt: it posts it, js/notes.js."""

from __future__ import annotations

import functools
import json
import logging
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

from aiohttp import web
from server import PromptServer

from ..studio.errors import InputError
from ..studio.layout.layout import Layout

log = logging.getLogger(__name__)

LOCALES = Path(__file__).parents[1] / "locales"
NOTES_FILE = "notes.json"  # English sentence -> the language's; {0}, {1} ... stand for what changes, translated in turn
MOST_EDITORS = 1000
LONGEST_ID = 100  # characters of a client's id
LONGEST_NOTE = 300  # characters of a sentence that is looked up: four places in a stranger's text take their time
PROBLEM = "`{0}` is {1}. {2}"  # an InputError; its parts are looked up one by one
_PLACE = re.compile(r"\\\{(\d)\\\}")
_spoken: OrderedDict[str, str] = OrderedDict()  # client id -> language, the latest last


@functools.cache
def known() -> frozenset[str]:
    """The languages that have a table, beside English."""
    return frozenset(path.parent.name for path in LOCALES.glob(f"*/{NOTES_FILE}"))


def of_user() -> str:
    """The language of the editor whose prompt runs; "" where it has none of ours, as a program's prompt has none."""
    return _spoken.get(getattr(PromptServer.instance, "client_id", None) or "", "")


def note(english: str) -> str:
    """A note in the user's language; English where that has no sentence for it."""
    return translated(english, of_user())


def reason(layout: Layout) -> str:
    """Why a layout is as it is, in the user's language; in English and Korean for a program's prompt."""
    language = _spoken.get(getattr(PromptServer.instance, "client_id", None) or "")
    if language is None:
        return f"{layout.reason_en} {layout.reason_ko}"
    return getattr(layout, f"reason_{language}", "") or layout.reason_en


def error(problem: InputError, asked: object = None) -> str:
    """What an InputError says, in the language that was asked for; that of the user whose prompt runs, where none was."""
    language = of_user() if asked is None else asked
    if not isinstance(language, str) or language not in known():
        return str(problem)
    cure = translated(problem.cure or f"Expected: {problem.wanted}.", language)
    whole = _table(language)[0].get(PROBLEM, PROBLEM)
    return _filled(whole, {"0": problem.name, "1": translated(problem.shown, language), "2": cure})


def translated(english: str, language: str) -> str:
    """The sentence of the language's table whose English fits, what changes in it translated in turn."""
    if language not in known() or len(english) > LONGEST_NOTE:
        return english
    exact, patterns = _table(language)
    if english in exact:
        return exact[english]
    for pattern, order, sentence in patterns:
        if found := pattern.fullmatch(english):
            parts = [translated(value, language) for value in found.groups()]
            return _filled(sentence, dict(zip(order, parts)))
    return english


def _filled(sentence: str, values: dict[str, str]) -> str:
    return re.sub(r"\{(\d)\}", lambda place: values[place[1]], sentence)


@functools.cache
def _table(language: str) -> tuple[dict[str, str], list[tuple[re.Pattern[str], list[str], str]]]:
    sentences: dict[str, str] = json.loads((LOCALES / language / NOTES_FILE).read_text("utf-8"))
    exact = {english: own for english, own in sentences.items() if "{" not in english or english == PROBLEM}
    patterns = []
    for english, own in sentences.items():
        if "{" in english and english != PROBLEM:
            source = re.escape(english)
            order = _PLACE.findall(source)
            patterns.append((re.compile(_PLACE.sub("(.+?)", source), re.DOTALL), order, own))
    # The one with most words of its own first: "{0}: {1}, {2}" would take what others say better.
    patterns.sort(key=lambda row: -len(_PLACE.sub("", row[0].pattern)))
    return exact, patterns


async def _remember(request: web.Request) -> web.Response:
    """Remember an editor's language. It is of no use to anybody else: nothing but the choice of sentences depends on it."""
    try:
        body: Any = await request.json()
        client, language = body["client_id"], body["language"]
    except (ValueError, KeyError, TypeError):
        return web.json_response({"error": "Expected: client_id and language."}, status=400)
    if not isinstance(client, str) or not 0 < len(client) <= LONGEST_ID or not isinstance(language, str):
        return web.json_response({"error": "Expected: client_id and language."}, status=400)
    _spoken[client] = language if language in known() else ""
    _spoken.move_to_end(client)
    while len(_spoken) > MOST_EDITORS:
        _spoken.popitem(last=False)
    return web.json_response({"language": _spoken[client]})


def add_route() -> None:
    """POST /storefront/language {"client_id": ..., "language": "ko"}."""
    PromptServer.instance.routes.post("/storefront/language")(_remember)
