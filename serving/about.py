"""What a client must know of a server's model to draw with it: `export` writes it into the orchestrator's configuration."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..studio.errors import InputError
from ..studio.kinds import table
from ..studio.kinds.facts import Defaults, Edition, Licence, ModelFacts

if TYPE_CHECKING:
    from ..studio.opening.models import Description

_LARGEST_ABOUT = 1 << 20  # characters
_WIDEST = 1 << 20  # of any width


def _finite(text: str) -> float:
    """Of JSON: Python reads NaN and Infinity too, and 1e999 as one."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


class About(NamedTuple):
    """One model, as far as its weights need not be there."""

    name: str
    family: str  # FLUX.1, until `export` takes others
    channels: int  # of the transformer's first layer
    sequence: int  # width of T5's embeddings
    pooled: int  # of CLIP's
    side: int  # pixels of the square that it draws best
    guided: bool  # whether a number for guidance is embedded
    takes_references: bool
    defaults: tuple[float, float, float]  # steps, guidance, cfg
    scheduler_config: Mapping[str, Any]
    licence: tuple[str, str]
    note: str = ""
    preview: Mapping[str, Any] | None = None  # from latents to RGB

    @classmethod
    def of(cls, described: Description, side: int) -> About:
        """Of a description; `side` as above."""
        widths, defaults = described.transformer.widths(), described.defaults
        return cls(
            described.name,
            described.family.name,
            described.edition.in_channels,
            widths.sequence,
            widths.pooled,
            side,
            bool(defaults.guidance),
            described.edition.takes_references,
            (defaults.steps, defaults.guidance, defaults.cfg),
            dict(described.scheduler_config),
            (described.licence.name, described.licence.commercial),
            described.facts.note,
            described.preview_factors(),
        )

    def to_text(self) -> str:
        """JSON."""
        return json.dumps(self._asdict(), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: object) -> About:
        """Raises InputError for anything but what `to_text` gives."""
        try:
            if not isinstance(text, str) or len(text) > _LARGEST_ABOUT:
                raise ValueError
            about = cls(**json.loads(text, parse_constant=_finite, parse_float=_finite))
            about._require()
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
            raise InputError("about", "not readable", "what `export` of this version writes") from error
        return about

    def _require(self) -> None:
        """Raise ValueError for what a sampler could not use."""
        texts = [self.name, self.family, self.note, *self.licence]
        whole = [self.channels, self.sequence, self.pooled, self.side, self.defaults[0]]
        if self.family != table.DEFAULT_FAMILY.name or len(self.licence) != 2 or len(self.defaults) != 3:
            raise ValueError
        if not all(isinstance(text, str) for text in texts) or not isinstance(self.scheduler_config, dict):
            raise ValueError
        if not all(type(number) is int and 1 <= number <= _WIDEST for number in whole):
            raise ValueError
        if not all(isinstance(number, int | float) and math.isfinite(number) for number in self.defaults):
            raise ValueError
        if self.preview is not None and not isinstance(self.preview, dict):
            raise ValueError
        if not isinstance(self.guided, bool) or not isinstance(self.takes_references, bool):
            raise ValueError

    @property
    def facts(self) -> ModelFacts:
        """What samplers ask for."""
        family = table.DEFAULT_FAMILY
        defaults = Defaults(int(self.defaults[0]), *self.defaults[1:])
        edition = Edition(family, defaults, takes_references=self.takes_references)
        return ModelFacts(edition, defaults, self.scheduler_config, self.note)

    @property
    def notes(self) -> list[str]:
        """Lines for a report, as those of a model that is opened here."""
        licence = Licence(*self.licence)
        first = f"{self.name}: {self.family}; licence {licence.name}; {licence.commercial}"
        return [first, f"{self.name}: {self.note}"] if self.note else [first]
