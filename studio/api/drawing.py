"""One prompt -> its pictures: what is behind text_to_image, image_to_image and the scenes of advertisements."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from ..canvas import Size
from ..errors import InputError, require_number, require_one_of
from ..images import read_opaque
from ..kinds import table
from ..out_of_memory import OutOfMemory, at_second_try, give_back, in_parts
from ..sampling import noise, schedule
from ..sampling.encode import ChatEncoder, Text, require_prompt
from ..sampling.pipeline import Now, Order
from ..sampling.references import OWN_SIZE, SIZES, at_most_a_megapixel, fit
from ..sampling.unfinished import Trace, Unfinished, trace
from .load import Model
from .result import StageClock

if TYPE_CHECKING:
    from ..images import Picture
    from ..sampling.pipeline import FluxStudio

MOST_REFERENCES = 10  # FLUX.2 was trained with as many
TILES = "decoded in tiles, since memory ran out"


@dataclass(frozen=True)
class Drawing:
    """How a picture is drawn: the inputs of Encode Prompt, FLUX Sampler and Reference Picture. None: the model's default.

    Raises InputError.
    """

    negative: str = ""
    seed: int = 0  # 0..2^64 - 1
    steps: int | None = None  # 1..schedule.MAX_STEPS
    guidance: float | None = None  # 0..100
    cfg: float | None = None  # 1..100
    prompt_2: str = ""
    max_tokens: int = 0  # 0: the encoder's own length
    references: tuple[Picture, ...] = ()
    reference_size: str = OWN_SIZE
    time_limit: float = 0  # seconds; 0: none
    resume: Unfinished | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        require_words("negative", self.negative)
        require_words("prompt_2", self.prompt_2)
        _require_whole("seed", self.seed, 0, noise.SEED_COUNT - 1, "2^64 - 1")
        if self.steps is not None:
            _require_whole("steps", self.steps, 1, schedule.MAX_STEPS)
        _require_whole("max_tokens", self.max_tokens, 0, LONGEST_SEQUENCE)
        require_number("time_limit", self.time_limit, 0, 86_400)
        for name, value, least in (("guidance", self.guidance, 0), ("cfg", self.cfg, 1)):
            if value is not None:
                require_number(name, value, least, 100)
        if len(self.references) > MOST_REFERENCES:
            raise InputError("references", f"{len(self.references)} pictures", f"at most {MOST_REFERENCES}")
        require_one_of("reference_size", self.reference_size, SIZES)

    def numbered(self, index: int) -> Drawing:
        """The one for picture `index` of several; only the first goes on with an unfinished one."""
        if not index:
            return self
        return replace(self, seed=(self.seed + index) % noise.SEED_COUNT, resume=None)


LONGEST_SEQUENCE = 4096


def _require_whole(name: str, value: object, low: int, high: int, most: str = "") -> None:
    """`most`: how a person writes `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(name, value, f"a whole number from {low} to {most or high}")


class Start(NamedTuple):
    """What pictures begin with."""

    latents: torch.Tensor | None = None  # normalised [1, C, H, W] of a picture; None: an empty canvas
    strength: float = 1.0
    mask: torch.Tensor | None = None  # [1, 1, H, W], 1 = paint anew
    pictures: int = 1


CANVAS = Start()


def draw(
    model: Model, prompt: str, size: Size, drawing: Drawing, clock: StageClock, start: Start = CANVAS
) -> tuple[torch.Tensor, Unfinished | None]:
    """IMAGE [start.pictures, H, W, 3], and what is needed to go on where a time limit cut it off."""
    studio = model.studio
    with clock.stage("encode"):
        looked_at, shown = _references(studio, drawing)
        texts = _texts(studio, prompt, drawing, shown, clock)
    run = _Run(model, size, drawing, clock, start, texts, looked_at)
    with clock.stage("sample"):
        latents = run.latents()
    with clock.stage("decode"):
        pictures = _decoded(studio, latents, clock)
    for note in model.notes:
        clock.note(note)
    clock.note(f"{model.name}: licence {model.licence.name}; {model.licence.commercial}")
    return pictures, run.unfinished


def _references(studio: FluxStudio, drawing: Drawing) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Normalised latents of the references, and the IMAGEs that Z-Image Omni sees of them."""
    if not drawing.references:
        return [], []
    if studio.edition is not None and not studio.edition.takes_references:
        name = studio.family.name
        wanted = f"none, or another model: {table.names_that_take_references()}"
        raise InputError("references", f"pictures for a {name} model", wanted)
    pictures = [read_opaque("references", picture) for picture in drawing.references]
    small = studio.family.packed or _sees(studio)
    fitted = [fit(picture, small, drawing.reference_size) for picture in pictures]
    shown = pictures
    if drawing.reference_size == OWN_SIZE:
        shown = [at_most_a_megapixel(picture) for picture in pictures]
    return [encoded_picture(studio, picture, "references") for picture in fitted], shown


def encoded_picture(studio: FluxStudio, picture: torch.Tensor, name: str) -> torch.Tensor:
    """Normalised latents, float32, of an IMAGE that came in as `name`. Raises OutOfMemory."""
    size = f"{picture.shape[2]} x {picture.shape[1]} pixels, which do not fit into memory encoded"
    failed = OutOfMemory(name, size, "a smaller picture or format; close what else uses the memory")
    return at_second_try(lambda: studio.encode_image(picture).float(), failed)


def _sees(studio: FluxStudio) -> bool:
    """Whether it is Z-Image Omni, whose text encoder looks at pictures too."""
    return isinstance(studio.encoders, ChatEncoder) and studio.encoders.vision is not None


def _texts(
    studio: FluxStudio, prompt: str, drawing: Drawing, shown: list[torch.Tensor], clock: StageClock
) -> tuple[Text, Text | None]:
    """The prompt, and the negative where true CFG asks for one."""
    require_words("prompt", prompt)
    second = [drawing.prompt_2] if drawing.prompt_2 else None
    tokens = studio.tokenizer.tokenize([prompt], second, drawing.max_tokens)
    lost = list(tokens.values())[-1].cut[0]  # the sequence encoder's
    if lost:
        clock.note(f"cut off, since it is too long for the model: {lost[:200]}")

    def encoded(words: str, more: list[str] | None) -> Text:
        if shown and _sees(studio):
            return studio.encode_with_pictures([words], shown)
        return studio.encode([words], more, drawing.max_tokens)

    failed = OutOfMemory("prompt", "a text whose encoder does not fit into memory", "less else in memory")
    positive = at_second_try(lambda: encoded(prompt, second), failed)
    if _cfg(studio, drawing) == 1:
        return positive, None
    return positive, at_second_try(lambda: encoded(drawing.negative, None), failed)


def _cfg(studio: FluxStudio, drawing: Drawing) -> float:
    return studio.defaults.cfg if drawing.cfg is None else drawing.cfg


class _Run:
    """The steps of one batch, some rows at a time where memory runs out."""

    def __init__(
        self,
        model: Model,
        size: Size,
        drawing: Drawing,
        clock: StageClock,
        start: Start,
        texts: tuple[Text, Text | None],
        looked_at: list[torch.Tensor],
    ):
        self.studio, self.drawing, self.clock, self.start = model.studio, drawing, clock, start
        self.texts, self.looked_at = texts, looked_at
        empty = noise.empty_latent(size, start.pictures, self.studio.family)
        self.canvas = empty if start.latents is None else start.latents.expand(start.pictures, -1, -1, -1)
        self.unfinished: Unfinished | None = None
        self._cut: list[Unfinished] = []
        self._deadline = time.monotonic() + drawing.time_limit if drawing.time_limit else None

    def latents(self) -> torch.Tensor:
        """Normalised [count, C, H, W]: the finished pictures, or what the time sufficed for. Raises OutOfMemory."""
        failed = OutOfMemory(
            "size",
            f"{self.canvas.shape[-1]} x {self.canvas.shape[-2]} latent cells, which do not fit into memory",
            "a smaller format, or a model of smaller weights; close what else uses the memory",
        )
        out = in_parts(self.start.pictures, self._rows, self.clock.note, failed, "drawn")
        if len(self._cut) == 1 and len(self._cut[0].x) == self.start.pictures:
            self.unfinished = self._cut[0]
        return out

    def _rows(self, rows: slice) -> torch.Tensor:
        if rows.start == 0:
            self._cut = []
        order, canvas = self._order(rows), self.canvas[rows]
        begun = self._begun(order, canvas)
        latents = canvas
        for now in self.studio.steps(canvas, order._replace(begun=begun)):
            latents = now.x
            self.clock.tell("sample", now.done, now.total)
            if self._deadline is not None and time.monotonic() >= self._deadline and now.done < now.total:
                self.clock.note(
                    f"time limit of {self.drawing.time_limit:g} s reached after {now.done} of {now.total} steps"
                )
                self._cut.append(_cut(now, canvas, self._traces(order, canvas)))
                return now.prediction
        return latents

    def _order(self, rows: slice) -> Order:
        count, wanted = rows.stop - rows.start, self.studio.defaults
        positive, negative = self.texts
        drawing = self.drawing
        return Order(
            positive.times(count),
            (drawing.seed + rows.start) % noise.SEED_COUNT,
            wanted.steps if drawing.steps is None else drawing.steps,
            wanted.guidance if drawing.guidance is None else drawing.guidance,
            _cfg(self.studio, drawing),
            None if negative is None else negative.times(count),
            self.start.strength,
            self.start.mask,
            self.looked_at,
        )

    def _begun(self, order: Order, canvas: torch.Tensor) -> tuple[int, torch.Tensor] | None:
        """Where the picture that is gone on with ended. Raises InputError where it is another one."""
        before = self.drawing.resume
        if before is None:
            return None
        levels = _levels(self.studio, order, canvas)
        before.require_same(levels, self._traces(order, canvas))
        self.clock.note(f"went on after {before.step} of {len(levels) - 1} steps")
        return before.step, before.x

    def _traces(self, order: Order, canvas: torch.Tensor) -> dict[str, Trace]:
        return {
            "model": _of_model(self.studio),
            "positive": trace(order.positive.sequence, order.positive.pooled),
            "negative": trace(None if order.negative is None else order.negative.sequence),
            "size": trace(list(canvas.shape)),
            "latent": trace(canvas),
            "seed": trace(order.seed),
            "cfg": trace(order.cfg),
            "guidance": trace(float(order.guidance)),
            "mask": trace(order.mask),
            "references": trace(list(order.references)),
        }


def _levels(studio: FluxStudio, order: Order, canvas: torch.Tensor) -> torch.Tensor:
    height, width = canvas.shape[-2:]
    return schedule.sigmas(studio.scheduler_config, order.steps, order.strength, height, width, family=studio.family)


def _cut(now: Now, canvas: torch.Tensor, traces: dict[str, Trace]) -> Unfinished:
    return Unfinished(now.x.float().cpu(), now.done, now.levels.float().cpu(), canvas.cpu(), traces)


def _of_model(studio: FluxStudio) -> Trace:
    weights = dict(studio.velocity.named_parameters())
    names = sorted(weights)
    return trace([f"{name} {list(weights[name].shape)}" for name in names], [weights[name] for name in names[::8]])


def _decoded(studio: FluxStudio, latents: torch.Tensor, clock: StageClock) -> torch.Tensor:
    """IMAGE [B, H, W, 3]; some at a time, then in tiles, where memory runs out."""
    failed = OutOfMemory("size", "a picture that does not fit into memory decoded", "less else in memory")
    try:
        return in_parts(len(latents), lambda rows: studio.decode(latents[rows]), clock.note, failed, "decoded")
    except OutOfMemory:
        if not hasattr(studio.vae, "enable_tiling"):
            raise
    give_back()
    studio.vae.enable_tiling()
    clock.note(TILES)
    try:
        return in_parts(len(latents), lambda rows: studio.decode(latents[rows]), clock.note, failed, "decoded")
    finally:
        studio.vae.disable_tiling()


def require_words(name: str, text: object) -> None:
    """Raise InputError for what is no text, and for text that no tokenizer can read."""
    if not isinstance(text, str):
        raise InputError(name, text, "text")
    require_prompt(name, text)
