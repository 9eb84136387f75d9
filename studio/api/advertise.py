"""Product photo + words -> advertisement: cut out, scene, plan, place, write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

from ..canvas import FORMATS
from ..errors import InputError
from ..images import read_picture, require_mask
from ..layout import plan
from ..layout.layout import Layout
from ..product import cutout
from ..product.cutout import Cutout, Edges
from ..product.place import Placement, place
from ..scale import covering, softened, stretched
from ..text import draw as letters
from ..text.draw import Design
from ..text.fonts import BUNDLED as BUNDLED_FONT
from ..text.fonts import Typeface, all_families
from .draw import Drawing, draw, require_several, size_like
from .load import Cutter, ModelChoice, as_cutter, as_model
from .result import Progress, Recorder, Result

if TYPE_CHECKING:
    import torch

    from ..images import Picture

# flux-micro draws a product into each picture; a model of one's own wants an empty scene in words.
SCENE = "a white mug on a wooden table"
PICTURE_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif"}
NEARLY_ALL = 1.1  # times side x side: formats of about one megapixel count as the model's own size


class _Style(NamedTuple):
    """What is the same for every advertisement of a catalogue."""

    cutter: Cutter | str | Path | None
    edges: Edges
    wishes: plan.Wishes
    placement: Placement
    design: Design
    typeface: Typeface


def product_composite(
    photo: Picture,
    scene: Picture | str | None = None,
    headline: str = "",
    *,
    format: str = "1:1 feed",
    product_scale: float = 0.0,
    text_side: str = "auto",
    margin: float = 5.0,
    layout: Layout | None = None,
    edges: Edges = Edges(),  # noqa: B008, frozen
    placement: Placement = Placement(),  # noqa: B008, frozen
    design: Design = Design(),  # noqa: B008, frozen
    font: str = BUNDLED_FONT,
    font_folders: Sequence[str | Path] = (),
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    model: ModelChoice = None,
    cutter: Cutter | str | Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """A product photo and a headline become an advertisement, as in the workflow product_composite.

    scene: words, which the model draws; or a picture (a file of one as pathlib.Path), scaled and cut to the format;
    None is a wooden table that the model draws. seed, steps, guidance and model count where it draws. A photo with
    transparency is taken to be cut out already. format: of `canvas.FORMATS`; "as the picture" keeps the size of a scene
    that is one. layout: in place of a plan; product_scale, text_side and margin are wishes to the plan. An empty headline
    writes nothing. `progress` is called with every `Step`; an exception raised in it ends the work. Raises InputError.
    """
    return next(
        catalogue(
            [photo],
            scene,
            [headline],
            format=format,
            product_scale=product_scale,
            text_side=text_side,
            margin=margin,
            layout=layout,
            edges=edges,
            placement=placement,
            design=design,
            font=font,
            font_folders=font_folders,
            seed=seed,
            steps=steps,
            guidance=guidance,
            model=model,
            cutter=cutter,
            progress=progress,
        )
    )


def catalogue(
    photos: Iterable[Picture],
    scene: Picture | str | None = None,
    headlines: str | Iterable[str] = "",
    *,
    same_place: bool = True,
    format: str = "1:1 feed",
    product_scale: float = 0.0,
    text_side: str = "auto",
    margin: float = 5.0,
    layout: Layout | None = None,
    edges: Edges = Edges(),  # noqa: B008, frozen
    placement: Placement = Placement(),  # noqa: B008, frozen
    design: Design = Design(),  # noqa: B008, frozen
    font: str = BUNDLED_FONT,
    font_folders: Sequence[str | Path] = (),
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    model: ModelChoice = None,
    cutter: Cutter | str | Path | None = None,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Many products on one scene, a result each as it is done, as in the workflow catalogue.

    headlines: one for each photo, or one text for all of them. same_place: one plan for all, made for the longest
    headline and for a box that suits each product; all photos (at most 64) are then cut out before the first result.
    Without it, or with a layout, photos are taken from their iterable one at a time, however many they are. The other
    inputs are those of `product_composite`.
    """
    require_several("photos", photos)
    wishes = plan.Wishes(format=format, product_scale=product_scale, text_side=text_side, margin=margin)
    typeface = Typeface(all_families([Path(folder) for folder in font_folders]), font)
    style = _Style(cutter, edges, wishes, placement, design, typeface)
    recorder = Recorder(progress)
    ground = _scene(scene, format, Drawing(seed=seed, steps=steps, guidance=guidance), model, recorder)
    pairs = _pairs(photos, headlines)
    if same_place and layout is None:
        return _in_one_place(list(pairs), ground, style, progress, recorder)
    return _one_by_one(pairs, ground, layout, style, progress, recorder)


class _Ground(NamedTuple):
    """What the products stand on."""

    image: torch.Tensor  # IMAGE [1, H, W, 3]
    seed: int | None  # where it was drawn
    model: str | None


def _in_one_place(
    pairs: list[tuple[Picture, str]],
    ground: _Ground,
    style: _Style,
    progress: Progress | None,
    recorder: Recorder,
) -> Iterator[Result]:
    if not pairs or len(pairs) > plan.MOST:
        raise InputError("photos", f"{len(pairs)} photos", f"1 to {plan.MOST}, or same_place=False for more")
    recorders = [recorder, *(Recorder(progress, index) for index in range(1, len(pairs)))]
    cutter = as_cutter(style.cutter)
    cuts = [_cut_out(photo, cutter, style.edges, one) for (photo, _), one in zip(pairs, recorders)]
    longest = max((words for _, words in pairs), key=len)
    with recorder.stage("plan"):
        masks = [require_mask("product_mask", cut.alpha)[0] for cut in cuts]
        layout = plan.plan(ground.image[0].numpy(), masks, longest, style.wishes)
    for (_, words), cut, one in zip(pairs, cuts, recorders):
        yield _finish(cut, words, ground, layout, style, one)


def _one_by_one(
    pairs: Iterable[tuple[Picture, str]],
    ground: _Ground,
    layout: Layout | None,
    style: _Style,
    progress: Progress | None,
    recorder: Recorder,
) -> Iterator[Result]:
    cutter = as_cutter(style.cutter)
    for index, (photo, words) in enumerate(pairs):
        recorder = Recorder(progress, index) if index else recorder
        cut = _cut_out(photo, cutter, style.edges, recorder)
        own = layout
        if own is None:
            with recorder.stage("plan"):
                own = plan.plan_pictures(ground.image, cut.alpha, words, style.wishes)
        yield _finish(cut, words, ground, own, style, recorder)


def poster_from_photo(
    photo: Picture,
    headline: str,
    *,
    format: str = plan.AS_PICTURE,
    text_side: str = "auto",
    margin: float = 5.0,
    layout: Layout | None = None,
    design: Design = Design(),  # noqa: B008, frozen
    font: str = BUNDLED_FONT,
    font_folders: Sequence[str | Path] = (),
    progress: Progress | None = None,
) -> Result:
    """Words written on a photo where they can be read, as in the workflow poster_from_photo. Needs no model.

    The inputs are those of `product_composite`.
    """
    recorder = Recorder(progress)
    wishes = plan.Wishes(format=format, text_side=text_side, margin=margin)
    picture, _ = read_picture("photo", photo)
    if format != plan.AS_PICTURE:
        picture = covering(picture, FORMATS[format])
    typeface = Typeface(all_families([Path(folder) for folder in font_folders]), font)
    if layout is None:
        with recorder.stage("plan"):
            layout = plan.plan_pictures(picture, None, headline, wishes)
    image = _write(picture, headline, layout, design, typeface, recorder)
    return Result(image, recorder.report(), layout)


def _pairs(photos: Iterable[Picture], headlines: str | Iterable[str]) -> Iterator[tuple[Picture, str]]:
    """Photos with their words. Raises InputError where there are more of one than of the other."""
    if isinstance(headlines, str):
        yield from ((photo, headlines) for photo in photos)
        return
    words = iter(headlines)
    count = 0
    for count, photo in enumerate(photos, 1):
        own = next(words, None)
        if own is None:
            raise InputError("headlines", f"{count - 1} of them", "one for each photo, or one text for all")
        yield photo, own
    if next(words, None) is not None:
        raise InputError("headlines", f"more than {count}", "one for each photo, or one text for all")


def _scene(
    scene: Picture | str | None, format: str, drawing: Drawing, model: ModelChoice, recorder: Recorder
) -> _Ground:
    words = SCENE if scene is None else scene
    if not isinstance(words, str):
        picture, _ = read_picture("scene", words)
        return _Ground(picture if format == plan.AS_PICTURE else covering(picture, FORMATS[format]), None, None)
    if PurePath(words).suffix.lower() in PICTURE_ENDINGS:
        raise InputError("scene", words, "words for a scene; a picture's file is given as pathlib.Path(...)")
    if format == plan.AS_PICTURE:
        raise InputError("format", format, "a format with a size, since the scene is drawn from words")
    size = FORMATS[format]
    with recorder.stage("load"):
        loaded = as_model(model)
    drawn = size if size.width * size.height <= NEARLY_ALL * loaded.side**2 else size_like(size, loaded.side)
    picture = draw(loaded, words, drawn, drawing, recorder)
    part = loaded.backdrop
    picture = picture[:, :, round(part.left * drawn.width) : round(part.right * drawn.width)]
    picture = stretched(softened(picture, part.blur, part.sigma), size).clamp(0, 1)
    return _Ground(picture, drawing.seed, loaded.name)


def _cut_out(photo: Picture, cutter: Cutter, edges: Edges, recorder: Recorder) -> Cutout:
    with recorder.stage("cut out"):
        image, alpha = read_picture("photo", photo)
        if alpha is not None:
            return Cutout(image, alpha)
        cut = cutout.cut_out(image, cutter.find, edges, lambda: None)
    recorder.note(f"{cutter.name}: {cutter.terms}")
    return cut


def _finish(cut: Cutout, words: str, ground: _Ground, layout: Layout, style: _Style, recorder: Recorder) -> Result:
    with recorder.stage("place"):
        placed = place(ground.image, cut.foreground, cut.alpha, style.placement, layout)
    image = placed.image
    if words:
        image = _write(image, words, placed.layout, style.design, style.typeface, recorder)
    return Result(image, recorder.report(ground.seed, ground.model), placed.layout, placed.mask)


def _write(
    image: torch.Tensor, words: str, layout: Layout, design: Design, typeface: Typeface, recorder: Recorder
) -> torch.Tensor:
    with recorder.stage("write"):
        lettered = letters.overlay(image, [words], design, typeface, layout)
    for note in lettered.notes:
        recorder.note(note)
    return lettered.image
