"""Language models that write prompts: one small interface, asked in line, each answer checked, the last resort sure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..errors import require_one_of

if TYPE_CHECKING:
    from .reading import Fact

OWN_ENCODER, LOCAL_MODEL, CONNECTION, OFF = "model's own encoder", "local model", "connection", "off"
CHOICES = (OFF, OWN_ENCODER, LOCAL_MODEL, CONNECTION)
IN_LINE = (OWN_ENCODER, LOCAL_MODEL, CONNECTION)  # who is asked next when one fails
WRITING_ATTEMPTS = 2
MOST_NEW_TOKENS = 400


def require_choice(translate: str) -> None:
    """Raise InputError for anything but one of CHOICES."""
    require_one_of("translate", translate, CHOICES)


class Writer(Protocol):
    """A language model, wherever it runs."""

    def write(self, instructions: str, request: str, seed: int) -> str:
        """The model's answer. The same arguments give the same answer, as far as the model can promise it.

        Raises WriterError where there is none.
        """


class WriterError(Exception):
    """Why a model gave no answer. The text is shown to users and stands in reports: it must hold no key."""


class WriterChoice(NamedTuple):
    """A writer that may be asked."""

    name: str  # one of IN_LINE
    identity: Hashable  # what makes two writers give the same answers
    writer: Writer


class Attempt(NamedTuple):
    """One answer of one writer."""

    by: str
    refused: str  # why; empty where the answer was taken


class Answer(NamedTuple):
    """What came of asking."""

    text: str | None  # None where no writer gave one that holds
    attempts: tuple[Attempt, ...]


class AnswerCache:
    """Answers that passed, the least recently used dropped beyond a number."""

    def __init__(self, limit: int):
        self._limit = limit
        self._answers: OrderedDict[Hashable, str] = OrderedDict()

    def get(self, key: Hashable) -> str | None:
        """The answer to a key, which then counts as used last; None where there is none."""
        if key in self._answers:
            self._answers.move_to_end(key)
        return self._answers.get(key)

    def put(self, key: Hashable, answer: str) -> None:
        """Keep an answer; the one that was used longest ago goes."""
        self._answers[key] = answer
        self._answers.move_to_end(key)
        while len(self._answers) > self._limit:
            self._answers.popitem(last=False)


ANSWER_CACHE = AnswerCache(256)


def ask(
    writers: Sequence[WriterChoice],
    instructions: str,
    request: str,
    seed: int,
    facts: Sequence[Fact],
    subject: Sequence[str],
    remembered: AnswerCache = ANSWER_CACHE,
) -> Answer:
    """The first answer that holds. Each writer has a second try, which is told what was wrong with the first."""
    from .checks import faults, tidy

    attempts: list[Attempt] = []
    for choice in writers:
        key = (choice.name, choice.identity, instructions, request, seed)
        text = remembered.get(key)
        if text is not None:
            return Answer(text, (*attempts, Attempt(choice.name, "")))
        told = instructions
        for _ in range(WRITING_ATTEMPTS):
            try:
                text = tidy(choice.writer.write(told, request, seed))
            except WriterError as error:
                attempts.append(Attempt(choice.name, str(error)))
                break
            wrong = faults(text, facts, subject)
            if not wrong:
                remembered.put(key, text)
                return Answer(text, (*attempts, Attempt(choice.name, "")))
            attempts.append(Attempt(choice.name, "; ".join(wrong)))
            told = f"{instructions}\n\nAn earlier answer was refused: {'; '.join(wrong)}. Write a better one."
    return Answer(None, tuple(attempts))
