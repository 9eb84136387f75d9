"""Words -> picture, and photo + words -> picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from ..canvas import FORMATS, MULTIPLE, Size, size_like
from ..errors import InputError, listed, require_number
from ..images import read_opaque, read_picture
from ..sampling import noise
from ..sampling.encode import require_prompt
from ..sampling.schedule import MAX_STEPS
from ..scale import covering
from .load import Model, ModelChoice, as_model
from .result import Progress, Result, StageClock

if TYPE_CHECKING:
    import torch

    from ..images import Picture


@dataclass(frozen=True)
class Drawing:
    """How a picture is drawn: the inputs of FLUX Sampler. None: the model's default. Raises InputError."""

    negative: str = ""
    seed: int = 0  # 0..2^64 - 1
    steps: int | None = None  # 1..MAX_STEPS
    guidance: float | None = None  # 0..100
    cfg: float | None = None  # 1..100

    def __post_init__(self) -> None:
        require_words("negative", self.negative)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < noise.SEED_COUNT:
            raise InputError("seed", self.seed, "a whole number from 0 to 2^64 - 1")
        if self.steps is not None:
            if isinstance(self.steps, bool) or not isinstance(self.steps, int):
                raise InputError("steps", self.steps, "a whole number, or None for the model's default")
            require_number("steps", self.steps, 1, MAX_STEPS)
        for name, value, least in (("guidance", self.guidance, 0), ("cfg", self.cfg, 1)):
            if value is not None:
                require_number(name, value, least, 100)

    def numbered(self, index: int) -> Drawing:
        """The one for picture `index` of several."""
        return replace(self, seed=(self.seed + index) % noise.SEED_COUNT)


def text_to_image(
    prompt: str,
    *,
    negative: str = "",
    format: str | None = None,
    width: int | None = None,
    height: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    cfg: float | None = None,
    model: ModelChoice = None,
    progress: Progress | None = None,
) -> Result:
    """One picture of words, equal to the workflow text_to_image and to FluxPipeline.

    Its size is a format of `canvas.FORMATS`, or width and height (multiples of 16), or the square that the model was
    trained for. model: a folder, what `load_model` returns, or None for the bundled flux-micro. `negative` counts where
    cfg > 1. steps, guidance, cfg: None is the model's default. `progress` is called with every `Step`; an exception raised in it ends the work. Raises InputError.
    """
    return next(
        text_to_images(
            [prompt],
            negative=negative,
            format=format,
            width=width,
            height=height,
            seed=seed,
            steps=steps,
            guidance=guidance,
            cfg=cfg,
            model=model,
            progress=progress,
        )
    )


def text_to_images(
    prompts: Iterable[str],
    *,
    negative: str = "",
    format: str | None = None,
    width: int | None = None,
    height: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    cfg: float | None = None,
    model: ModelChoice = None,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """A picture of each prompt, as it is done; the first with `seed`, the next with seed + 1, and so on.

    The other inputs are those of `text_to_image`.
    """
    require_several("prompts", prompts)
    drawing = Drawing(negative, seed, steps, guidance, cfg)
    size = _size(format, width, height)
    clock = StageClock(progress)
    with clock.stage("load"):
        loaded = as_model(model)
    size = size or Size(loaded.side, loaded.side)
    return _texts(loaded, prompts, size, drawing, clock)


def _texts(
    model: Model,
    prompts: Iterable[str],
    size: Size,
    drawing: Drawing,
    clock: StageClock,
) -> Iterator[Result]:
    for index, prompt in enumerate(prompts):
        clock = clock.of_picture(index)
        one = drawing.numbered(index)
        yield Result(draw(model, prompt, size, one, clock), clock.report(one.seed, model.name))


def image_to_image(
    photo: Picture,
    prompt: str,
    *,
    strength: float = 0.5,
    mask: Picture | None = None,
    negative: str = "",
    format: str | None = None,
    width: int | None = None,
    height: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    cfg: float | None = None,
    model: ModelChoice = None,
    progress: Progress | None = None,
) -> Result:
    """A photo repainted after words, equal to the workflow image_to_image and to FluxImg2ImgPipeline.

    strength: 0.3 keeps the photo, 1 starts from noise. mask: white is what may change, as large as the photo; without it
    everything. The photo is scaled and cut at both sides alike to the format or to width and height; where neither is
    given, to its own proportions at the number of pixels that the model was trained for. The other inputs are those of
    `text_to_image`.
    """
    return next(
        image_to_images(
            [photo],
            prompt,
            strength=strength,
            mask=mask,
            negative=negative,
            format=format,
            width=width,
            height=height,
            seed=seed,
            steps=steps,
            guidance=guidance,
            cfg=cfg,
            model=model,
            progress=progress,
        )
    )


def image_to_images(
    photos: Iterable[Picture],
    prompt: str,
    *,
    strength: float = 0.5,
    mask: Picture | None = None,
    negative: str = "",
    format: str | None = None,
    width: int | None = None,
    height: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    cfg: float | None = None,
    model: ModelChoice = None,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Each photo repainted, as it is done; the first with `seed`, the next with seed + 1, and so on.

    The other inputs are those of `image_to_image`.
    """
    require_several("photos", photos)
    drawing = Drawing(negative, seed, steps, guidance, cfg)
    require_number("strength", strength, 0, 1)
    repaint = None if mask is None else read_picture("mask", mask)[0]
    size = _size(format, width, height)
    require_words("prompt", prompt)
    clock = StageClock(progress)
    with clock.stage("load"):
        loaded = as_model(model)
    return _photos(loaded, photos, prompt, Repaint(strength, repaint), size, drawing, clock)


class Repaint(NamedTuple):
    """How much of a photo is drawn anew."""

    strength: float  # 0..1; 1 starts from noise
    mask: torch.Tensor | None  # IMAGE [1, H, W, 3] of the photo's size, white = what may change; None: everything


def _photos(
    model: Model,
    photos: Iterable[Picture],
    prompt: str,
    repaint: Repaint,
    wanted: Size | None,
    drawing: Drawing,
    clock: StageClock,
) -> Iterator[Result]:
    mask = repaint.mask
    for index, photo in enumerate(photos):
        clock = clock.of_picture(index)
        one = drawing.numbered(index)
        image = read_opaque("photo", photo)
        if mask is not None and mask.shape[1:3] != image.shape[1:3]:
            raise InputError(
                "mask",
                f"{mask.shape[2]} x {mask.shape[1]} pixels",
                f"{image.shape[2]} x {image.shape[1]}, as the photo",
            )
        size = wanted or size_like(Size(image.shape[2], image.shape[1]), model.side)
        with clock.stage("encode photo"):
            start = model.studio.encode_image(covering(image, size)).float()
        cells = None
        if mask is not None:
            cells = noise.latent_mask(covering(mask, size)[..., 0], start.shape[2], start.shape[3], model.studio.family)
        picture = draw(model, prompt, size, one, clock, start, repaint.strength, cells)
        yield Result(picture, clock.report(one.seed, model.name))


def draw(
    model: Model,
    prompt: str,
    size: Size,
    drawing: Drawing,
    clock: StageClock,
    start: torch.Tensor | None = None,
    strength: float = 1.0,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """IMAGE [1, H, W, 3]. start: normalised latents of a picture of `size`; None is an empty canvas."""
    studio = model.studio
    wanted = studio.defaults
    cfg = wanted.cfg if drawing.cfg is None else drawing.cfg
    with clock.stage("encode"):
        require_words("prompt", prompt)
        texts = [prompt] if cfg == 1 else [prompt, drawing.negative]
        lost = list(studio.tokenizer.tokenize([prompt]).values())[-1].cut[0]  # the sequence encoder's
        if lost:
            clock.note(f"cut off, since it is too long for the model: {lost[:200]}")
        encoded = [studio.encode([text]) for text in texts]
    with clock.stage("sample"):
        latents = studio.sample(
            encoded[0],
            noise.empty_latent(size, 1, studio.family) if start is None else start,
            seed=drawing.seed,
            steps=wanted.steps if drawing.steps is None else drawing.steps,
            guidance=wanted.guidance if drawing.guidance is None else drawing.guidance,
            cfg=cfg,
            negative=encoded[-1] if len(encoded) > 1 else None,
            strength=strength,
            mask=mask,
            progress=lambda done, total: clock.tell("sample", done, total),
        )
    with clock.stage("decode"):
        picture = studio.decode(latents)
    clock.note(f"{model.name}: licence {model.licence.name}; {model.licence.commercial}")
    return picture


def require_several(name: str, values: object) -> None:
    """Raise InputError for a single text or picture where several are wanted: its letters or rows are no such thing."""
    if isinstance(values, str) or not isinstance(values, Iterable) or hasattr(values, "shape"):
        raise InputError(name, type(values).__name__, "a list, or another iterable, of them")


def require_words(name: str, text: object) -> None:
    """Raise InputError for what is no text, and for text that no tokenizer can read."""
    if not isinstance(text, str):
        raise InputError(name, text, "text")
    require_prompt(name, text)


def _size(format: str | None, width: int | None, height: int | None) -> Size | None:
    """The size that was asked for, if one was."""
    if format is not None:
        if width is not None or height is not None:
            raise InputError("format", format, "a format, or width and height, not both")
        if not isinstance(format, str) or format not in FORMATS:
            raise InputError("format", format, "one of: " + listed(FORMATS))
        return FORMATS[format]
    if width is None and height is None:
        return None
    for name, side in (("width", width), ("height", height)):
        if isinstance(side, bool) or not isinstance(side, int) or side < MULTIPLE or side % MULTIPLE:
            raise InputError(name, side, "a multiple of 16, for width and height both")
    assert width is not None
    assert height is not None
    return Size(width, height)
