"""Words -> picture, and photo + words -> picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..canvas import FORMATS, MULTIPLE, Size, size_like
from ..errors import InputError, require_number, require_one_of
from ..images import read_opaque, read_picture
from ..sampling import noise
from ..sampling.references import OWN_SIZE
from ..sampling.unfinished import Unfinished
from ..scale import covering
from .drawing import Drawing, Start, draw, encoded_picture, require_words
from .elsewhere import DrawingServer, drawn_elsewhere
from .load import Model, ModelChoice, as_model
from .result import Progress, Result, StageClock

if TYPE_CHECKING:
    import torch

    from ..images import Picture

MOST_PICTURES = 64  # of one prompt


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
    prompt_2: str = "",
    max_tokens: int = 0,
    references: Sequence[Picture] = (),
    reference_size: str = OWN_SIZE,
    time_limit: float = 0,
    resume: Unfinished | str | Path | None = None,
    model: ModelChoice = None,
    progress: Progress | None = None,
    server: DrawingServer | None = None,
) -> Result:
    """One picture of words, equal to the workflow text_to_image and to FluxPipeline.

    Its size is a format of `canvas.FORMATS`, or width and height (multiples of 16), or the square that the model was
    trained for. model: a folder, what `load_model` returns, or None for the bundled flux-micro. `negative` counts where
    cfg > 1. steps, guidance, cfg: None is the model's default. prompt_2: another text for T5. max_tokens: the length that
    the sequence encoder pads and cuts to, 0 its own. references: pictures that an editing model looks at.

    time_limit: seconds for the steps, 0 none. At the limit the picture so far is returned, with `unfinished`: `resume` takes
    that, or the file it was saved in, and goes on; everything else has to be the same. `progress` is called with every
    `Step`; an exception raised in it ends the work. server: a `storefront.serving.SyncClient`, whose server draws in place
    of this process. Raises InputError; OutOfMemory, which is one, where nothing fits.
    """
    given: dict[str, Any] = {
        "negative": negative,
        "format": format,
        "width": width,
        "height": height,
        "seed": seed,
        "steps": steps,
        "guidance": guidance,
        "cfg": cfg,
        "prompt_2": prompt_2,
        "max_tokens": max_tokens,
        "references": references,
        "reference_size": reference_size,
        "time_limit": time_limit,
        "resume": resume,
        "model": model,
        "progress": progress,
    }
    if server is not None:
        return drawn_elsewhere(server, prompt, _size(format, width, height), given | {"resume": resumed(resume)})
    return next(text_to_images([prompt], **given))


def text_to_images(
    prompts: str | Iterable[str],
    *,
    images_per_prompt: int = 1,
    negative: str = "",
    format: str | None = None,
    width: int | None = None,
    height: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    cfg: float | None = None,
    prompt_2: str = "",
    max_tokens: int = 0,
    references: Sequence[Picture] = (),
    reference_size: str = OWN_SIZE,
    time_limit: float = 0,
    resume: Unfinished | str | Path | None = None,
    model: ModelChoice = None,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Pictures of each prompt, as they are done: picture i of prompt p with the seed `seed + p + i`, both from 0.

    prompts: one text, or several. images_per_prompt: drawn together as one batch; where memory runs out, in parts, which a
    note says. resume: of the first prompt. The other inputs are those of `text_to_image`.
    """
    prompts = [prompts] if isinstance(prompts, str) else prompts
    require_several("prompts", prompts)
    if isinstance(images_per_prompt, bool) or not isinstance(images_per_prompt, int):
        raise InputError("images_per_prompt", images_per_prompt, "a whole number")
    require_number("images_per_prompt", images_per_prompt, 1, MOST_PICTURES)
    require_several("references", references)
    drawing = Drawing(
        negative=negative,
        seed=seed,
        steps=steps,
        guidance=guidance,
        cfg=cfg,
        prompt_2=prompt_2,
        max_tokens=max_tokens,
        references=tuple(references),
        reference_size=reference_size,
        time_limit=time_limit,
        resume=resumed(resume),
    )
    size = _size(format, width, height)
    clock = StageClock(progress)
    with clock.stage("load"):
        loaded = as_model(model)
    size = size or Size(loaded.side, loaded.side)
    return _texts(loaded, prompts, images_per_prompt, size, drawing, clock)


def _texts(
    model: Model, prompts: Iterable[str], each: int, size: Size, drawing: Drawing, clock: StageClock
) -> Iterator[Result]:
    for index, prompt in enumerate(prompts):
        clock = clock.of_picture(index * each)
        one = drawing.numbered(index)
        pictures, unfinished = draw(model, prompt, size, one, clock, Start(pictures=each))
        for number, picture in enumerate(pictures):
            report = clock.report(one.numbered(number).seed, model.name)
            yield Result(picture[None], report, unfinished=unfinished)


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
    prompt_2: str = "",
    max_tokens: int = 0,
    references: Sequence[Picture] = (),
    reference_size: str = OWN_SIZE,
    time_limit: float = 0,
    resume: Unfinished | str | Path | None = None,
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
            prompt_2=prompt_2,
            max_tokens=max_tokens,
            references=references,
            reference_size=reference_size,
            time_limit=time_limit,
            resume=resume,
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
    prompt_2: str = "",
    max_tokens: int = 0,
    references: Sequence[Picture] = (),
    reference_size: str = OWN_SIZE,
    time_limit: float = 0,
    resume: Unfinished | str | Path | None = None,
    model: ModelChoice = None,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Each photo repainted, as it is done; the first with `seed`, the next with seed + 1, and so on.

    resume: of the first photo. The other inputs are those of `image_to_image`.
    """
    require_several("photos", photos)
    require_several("references", references)
    drawing = Drawing(
        negative=negative,
        seed=seed,
        steps=steps,
        guidance=guidance,
        cfg=cfg,
        prompt_2=prompt_2,
        max_tokens=max_tokens,
        references=tuple(references),
        reference_size=reference_size,
        time_limit=time_limit,
        resume=resumed(resume),
    )
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
            start = encoded_picture(model.studio, covering(image, size), "photo")
        cells = None
        if mask is not None:
            cells = noise.latent_mask(covering(mask, size)[..., 0], start.shape[2], start.shape[3], model.studio.family)
        picture, unfinished = draw(model, prompt, size, one, clock, Start(start, repaint.strength, cells))
        yield Result(picture, clock.report(one.seed, model.name), unfinished=unfinished)


def resumed(given: Unfinished | str | Path | None) -> Unfinished | None:
    """What was given to go on with, read where it is a file. Raises InputError."""
    if given is None or isinstance(given, Unfinished):
        return given
    if isinstance(given, str | Path) and Path(given).is_file():
        return Unfinished.from_bytes(Path(given).read_bytes())
    raise InputError("resume", given, "the `unfinished` of a result, or the file that it was saved in")


def require_several(name: str, values: object) -> None:
    """Raise InputError for a single text or picture where several are wanted: its letters or rows are no such thing."""
    if isinstance(values, str) or not isinstance(values, Iterable) or hasattr(values, "shape"):
        raise InputError(name, type(values).__name__, "a list, or another iterable, of them")


def _size(format: str | None, width: int | None, height: int | None) -> Size | None:
    """The size that was asked for, if one was."""
    if format is not None:
        if width is not None or height is not None:
            raise InputError("format", format, "a format, or width and height, not both")
        require_one_of("format", format, FORMATS)
        return FORMATS[format]
    if width is None and height is None:
        return None
    for name, side in (("width", width), ("height", height)):
        if isinstance(side, bool) or not isinstance(side, int) or side < MULTIPLE or side % MULTIPLE:
            raise InputError(name, side, "a multiple of 16, for width and height both")
    assert width is not None
    assert height is not None
    return Size(width, height)
