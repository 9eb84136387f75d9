"""Product photo + words -> advertisement: cut out, scene, plan, place, write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from ..backdrop import backdrop
from ..brand.brand import Brand, branded_design, branded_font
from ..brand.designs import Badge, CallToAction
from ..brand.rooms import Extras, with_rooms
from ..canvas import FORMATS, Size, size_like
from ..errors import InputError
from ..images import on_white, read_opaque, read_picture, require_mask
from ..layout import plan, written
from ..layout.layout import MOST_PRODUCTS, Layout, parse
from ..layout.options import AS_PICTURE, LayoutOptions
from ..layout.subject import SaliencyCache
from ..out_of_memory import OutOfMemory, at_second_try
from ..product import cutout
from ..product.cutout import Cutout, Edges
from ..product.place import place
from ..product.placement import Placement
from ..product.transparency import is_cut_out
from ..scale import covering
from ..scenes.picture import BankPicture
from ..text.design import Design
from ..text.fonts import BUNDLED as BUNDLED_FONT
from ..text.fonts import Typeface, all_families
from .branding import branded, extras_for
from .draw import require_several
from .drawing import Drawing, draw, require_words
from .load import Cutter, ModelChoice, as_cutter, as_model, check_model, subject_finder
from .result import Progress, Result, StageClock

if TYPE_CHECKING:
    import torch

    from ..images import Picture
    from ..layout.subject import Salience

# flux-micro draws a product into each picture; a model of one's own wants an empty scene in words.
SCENE = "a white mug on a wooden table"
PICTURE_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif"}
ONE_EACH = "one for each photo, or one text for all"
SceneOf = Callable[[Any], BankPicture]  # of a mask [h, w]
NEARLY_ALL = 1.1  # times side x side: formats of about one megapixel count as the model's own size


class _Style(NamedTuple):
    """What is the same for every advertisement of a catalogue."""

    cutter: Cutter
    edges: Edges
    options: LayoutOptions
    placement: Placement
    design: Design
    typeface: Typeface
    find: Salience  # whether a scene has a subject
    extras: Extras  # logo, badge, call to action
    notes: list[str]  # for every result


def product_composite(
    photo: Picture,
    scene: Picture | BankPicture | SceneOf | str | None = None,
    headline: str = "",
    *,
    format: str = "1:1 feed",
    product_scale: float = 0.0,
    text_side: str = "auto",
    margin: float = 5.0,
    layout: Layout | str | None = None,
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
    brand: Brand | None = None,
    badge: Badge | str | None = None,
    call_to_action: CallToAction | str | None = None,
) -> Result:
    """A product photo and a headline become an advertisement, as in the workflow product_composite.

    scene: words, which the model draws; or a picture (a file of one as pathlib.Path), scaled and cut to the format; or
    one of `find_scene`, whose ground and light are known; or a function that gives one for the product's mask [h, w], 0..1;
    None is a wooden table that the model draws. seed, steps, guidance and model count where it draws. A photo with
    transparent background is taken to be cut out already. format: of `canvas.FORMATS`; "as the picture" keeps the size of a
    scene that is one. layout: in place of a plan, or its JSON; product_scale, text_side and margin are wishes to the plan.
    An empty headline writes nothing. font: a family of the bundled ones, of font_folders, or of the system's. `progress` is
    called with every `Step`; an exception raised in it ends the work. brand, badge, call_to_action: docs/python.md.
    """
    require_words("headline", headline)
    return next(
        catalogue(
            *([photo], scene, [headline]),
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
            brand=brand,
            badge=badge,
            call_to_action=call_to_action,
        )
    )


def catalogue(
    photos: Iterable[Picture],
    scene: Picture | BankPicture | SceneOf | str | None = None,
    headlines: str | Iterable[str] = "",
    *,
    same_place: bool = True,
    format: str = "1:1 feed",
    product_scale: float = 0.0,
    text_side: str = "auto",
    margin: float = 5.0,
    layout: Layout | str | None = None,
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
    brand: Brand | None = None,
    badge: Badge | str | None = None,
    call_to_action: CallToAction | str | None = None,
) -> Iterator[Result]:
    """Many products on one scene, a result each as it is done, as in the workflow catalogue.

    headlines: one for each photo, or one text for all of them. same_place: one plan for all, made for the longest
    headline and for a box that suits each product; all photos (at most 64) are then cut out before the first result.
    Without it, or with a layout, photos are taken from their iterable one at a time, however many they are. The other
    inputs are those of `product_composite`.
    """
    require_several("photos", photos)
    _require("edges", edges, Edges)
    _require("placement", placement, Placement)
    _require("design", design, Design)
    options = LayoutOptions(
        format=format, product_scale=product_scale, text_side=text_side, margin=margin, vertical=design.vertical
    )
    layout = None if layout is None else parse(layout).undrawn()  # such as that of an earlier result
    pairs: Iterable[tuple[Picture, str]] = _pairs(photos, headlines)
    if same_place and layout is None:
        pairs = list(pairs)
        for photo, _ in pairs:
            if isinstance(photo, str | Path) and not Path(photo).is_file():
                raise InputError("photo", str(photo), "a file that exists")
        if not 1 <= len(pairs) <= MOST_PRODUCTS:
            raise InputError("photos", f"{len(pairs)} photos", f"1 to {MOST_PRODUCTS}, or same_place=False for more")
    ground = _scene(scene, format, Drawing(seed=seed, steps=steps, guidance=guidance), model)
    loaded = as_cutter(cutter)
    find = SaliencyCache(subject_finder(loaded).find)
    extras = extras_for(brand, badge, call_to_action)
    typeface, notes = _typeface(font, font_folders, brand)
    style = _Style(loaded, edges, options, placement, branded_design(design, brand), typeface, find, extras, notes)
    if isinstance(pairs, list):
        return _in_one_place(pairs, ground, style, progress)
    return _one_by_one(pairs, ground, layout, style, progress)


class _Ground(NamedTuple):
    """What the products stand on."""

    image: torch.Tensor  # IMAGE [1, H, W, 3]
    seed: int | None = None  # where it was drawn
    model: str | None = None
    known: Layout | None = None  # of a scene from the bank: its ground and light


class _Awaited(NamedTuple):
    """A ground that depends on the product."""

    scene_of: SceneOf
    format: str


class _Sketch(NamedTuple):
    """A ground still to be drawn."""

    words: str
    size: Size
    drawing: Drawing
    model: ModelChoice


def _in_one_place(
    pairs: list[tuple[Picture, str]], scene: _Ground | _Awaited | _Sketch, style: _Style, progress: Progress | None
) -> Iterator[Result]:
    clocks = [StageClock(progress, index) for index in range(len(pairs))]
    # Before a scene is drawn, which takes longest: a photo may be missing, or hold no product.
    cuts = [cut_out_photo(photo, style.cutter, style.edges, one) for (photo, _), one in zip(pairs, clocks)]
    ground = _ground(scene, cuts[0], clocks[0])
    longest = max((words for _, words in pairs), key=len)
    with clocks[0].stage("plan"):
        masks = [require_mask("product_mask", cut.alpha)[0] for cut in cuts]
        words = style.extras.headline(longest)
        layout = plan.plan(ground.image[0].numpy(), masks, words, style.options, ground.known, style.find)
        layout = with_rooms(layout, ground.image, [cut.alpha for cut in cuts], style.extras)
    for (_, words), cut, one in zip(pairs, cuts, clocks):
        yield _finish(cut, words, ground, layout, style, one)


def _one_by_one(
    pairs: Iterable[tuple[Picture, str]],
    scene: _Ground | _Awaited | _Sketch,
    layout: Layout | None,
    style: _Style,
    progress: Progress | None,
) -> Iterator[Result]:
    for index, (photo, words) in enumerate(pairs):
        clock = StageClock(progress, index)
        cut = cut_out_photo(photo, style.cutter, style.edges, clock)
        scene = ground = _ground(scene, cut, clock)  # drawn for the first one
        own = layout
        if own is None:
            with clock.stage("plan"):
                planned = style.extras.headline(words)
                own = plan.plan_pictures(ground.image, cut.alpha, planned, style.options, ground.known, style.find)
                own = with_rooms(own, ground.image, [cut.alpha], style.extras)
        yield _finish(cut, words, ground, own, style, clock)


def poster_from_photo(
    photo: Picture,
    headline: str,
    *,
    format: str = AS_PICTURE,
    text_side: str = "auto",
    margin: float = 5.0,
    layout: Layout | str | None = None,
    design: Design = Design(),  # noqa: B008, frozen
    font: str = BUNDLED_FONT,
    font_folders: Sequence[str | Path] = (),
    progress: Progress | None = None,
) -> Result:
    """Words written on a photo where they can be read, as in the workflow poster_from_photo. Needs no model.

    The inputs are those of `product_composite`.
    """
    require_words("headline", headline)
    if not headline.strip():
        raise InputError("headline", headline, "words to write")
    clock = StageClock(progress)
    _require("design", design, Design)
    options = LayoutOptions(format=format, text_side=text_side, margin=margin, vertical=design.vertical)
    layout = None if layout is None else parse(layout).undrawn()  # such as that of an earlier result
    typeface, _ = _typeface(font, font_folders)
    picture = read_opaque("photo", photo)
    if format in FORMATS:
        picture = covering(picture, FORMATS[format])
    if layout is None:
        with clock.stage("plan"):
            layout = plan.plan_pictures(picture, None, headline, options, find=subject_finder().find)
    image, layout = _write(picture, headline, layout, design, typeface, clock)
    return Result(image, clock.report(), layout)


_NO_MORE: Any = object()


def _pairs(photos: Iterable[Picture], headlines: str | Iterable[str]) -> Iterator[tuple[Picture, str]]:
    """Photos with their words. Raises InputError at once for headlines that are none, and where there are more of one
    than of the other: at once where both can be counted, else when one ends.
    """
    if isinstance(headlines, str):
        require_words("headlines", headlines)
        return ((photo, headlines) for photo in photos)
    require_several("headlines", headlines)
    if isinstance(photos, Sized) and isinstance(headlines, Sized) and len(photos) != len(headlines):
        raise InputError("headlines", f"{len(headlines)} for {len(photos)} photos", ONE_EACH)
    return _one_each(photos, headlines)


def _one_each(photos: Iterable[Picture], headlines: Iterable[str]) -> Iterator[tuple[Picture, str]]:
    words = iter(headlines)
    count = 0
    for count, photo in enumerate(photos, 1):
        own = next(words, _NO_MORE)
        if own is _NO_MORE:
            raise InputError("headlines", f"{count - 1} of them", ONE_EACH)
        require_words("headlines", own)
        yield photo, own
    if next(words, _NO_MORE) is not _NO_MORE:
        raise InputError("headlines", f"more than {count}", ONE_EACH)


def _require(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise InputError(name, value, f"{kind.__name__}(...)")


def _typeface(font: str, folders: Sequence[str | Path], brand: Brand | None = None) -> tuple[Typeface, list[str]]:
    """The family `font`, or a brand's in place of the bundled one, where it is installed, else a note. Raises InputError
    for a family that is not there, and for a folder that is none."""
    require_several("font_folders", folders)
    for folder in folders:
        if not isinstance(folder, str | Path) or not Path(folder).is_dir():
            raise InputError("font_folders", folder, "folders that exist")
    families = all_families([Path(folder) for folder in folders])
    family, notes = branded_font(font, brand, families)
    return Typeface(families, family), notes


def _scene(
    scene: Picture | BankPicture | SceneOf | str | None, format: str, drawing: Drawing, model: ModelChoice
) -> _Ground | _Awaited | _Sketch:
    """What was given for a scene, with everything looked at that can be without drawing. Raises InputError."""
    words = SCENE if scene is None else scene
    if isinstance(words, BankPicture):
        return _known(words, format)
    if callable(words):
        return _Awaited(words, format)
    if not isinstance(words, str):
        picture = read_opaque("scene", words)
        return _Ground(picture if format not in FORMATS else covering(picture, FORMATS[format]))
    require_words("scene", words)
    if PurePath(words).suffix.lower() in PICTURE_ENDINGS:
        raise InputError("scene", words, "words for a scene; a picture's file is given as pathlib.Path(...)")
    if format not in FORMATS:
        raise InputError("format", format, "a format with a size, since the scene is drawn from words")
    check_model(model)
    return _Sketch(words, FORMATS[format], drawing, model)


def _known(scene: BankPicture, format: str) -> _Ground:
    if format in FORMATS and (scene.layout.width, scene.layout.height) != FORMATS[format]:
        raise InputError("scene", f"a scene of {scene.layout.width}x{scene.layout.height}", f"one framed for {format}")
    return _Ground(scene.image, known=scene.layout)


def _ground(scene: _Ground | _Awaited | _Sketch, cut: Cutout, clock: StageClock) -> _Ground:
    """The scene, chosen for the product or drawn where it is not yet."""
    if isinstance(scene, _Ground):
        return scene
    if isinstance(scene, _Awaited):
        return _known(scene.scene_of(cut.alpha[0].numpy()), scene.format)
    with clock.stage("load"):
        loaded = as_model(scene.model)
    size = scene.size
    drawn = size if size.width * size.height <= NEARLY_ALL * loaded.side**2 else size_like(size, loaded.side)
    picture, _ = draw(loaded, scene.words, drawn, scene.drawing, clock)
    picture = backdrop(picture, loaded.backdrop, size)
    return _Ground(picture, scene.drawing.seed, loaded.name)


def cut_out_photo(photo: Picture, cutter: Cutter, edges: Edges, clock: StageClock) -> Cutout:
    """A photo's product: cut out by a network, or by the photo's own transparency. Notes go to the clock."""
    with clock.stage("cut out"):
        image, alpha = read_picture("photo", photo)
        if alpha is not None and is_cut_out(alpha[0].numpy()):
            clock.note("the photo's transparency is its cut-out")
            return Cutout(image, alpha)
        if alpha is not None:
            clock.note("the photo has transparent pixels, but no transparent background: it was cut out anew")
            image = on_white(image, alpha)
        size = f"{image.shape[2]} x {image.shape[1]} pixels, which do not fit into memory cut out"
        failed = OutOfMemory("photo", size, "a smaller photo; close what else uses the memory")
        cut = at_second_try(lambda: cutout.cut_out(image, cutter.find, edges, lambda: None), failed)
    for note in cut.notes:
        clock.note(note)
    clock.note(f"{cutter.name}: {cutter.terms}")
    return cut


def _finish(cut: Cutout, words: str, ground: _Ground, layout: Layout, style: _Style, clock: StageClock) -> Result:
    with clock.stage("place"):
        placed = place(ground.image, cut.foreground, cut.alpha, style.placement, layout)
    for note in (*placed.notes, *style.notes):
        clock.note(note)
    image, own = placed.image, placed.layout
    if words:
        image, own = _write(image, words, own, style.design, style.typeface, clock)
    image, own = branded(image, own, placed.mask, style.extras, style.typeface, clock)
    return Result(image, clock.report(ground.seed, ground.model), own, placed.mask)


def _write(
    image: torch.Tensor, words: str, layout: Layout, design: Design, typeface: Typeface, clock: StageClock
) -> tuple[torch.Tensor, Layout]:
    with clock.stage("write"):
        lettered, after = written.write(image, [words], design, typeface, layout)
    for note in lettered.notes:
        clock.note(note)
    return lettered.image, after
