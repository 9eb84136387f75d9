"""Where the product stands, how large, and where the words go: every sensible pair of boxes is scored, the best taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..cancelling import check_cancel
from ..canvas import Box
from ..errors import InputError
from ..images import require_mask, require_picture
from ..text.estimate import HeadlineText
from .analysis import analyse
from .arrangement import Arrangement, arranged
from .criteria import WORD_CRITERIA, WORD_CRITERIA_ALONE
from .layout import LIGHT_ROLE, MOST_PRODUCTS, Layout, parse, product_role
from .lettering import LEAST_VEIL, alignment, readable
from .light import estimate_light
from .options import AS_PICTURE, AUTO, EACH, TOGETHER, LayoutOptions, frame_of, require_shape
from .pairing import Pair, are_apart, best_pair, best_words
from .products import ProductPlaces, Shape, one_for_each, product_places, shape_of, shared_out
from .reasons import Facts, reasons
from .words import Task, word_place, word_places

if TYPE_CHECKING:
    import numpy as np
    import torch

    from .subject import Salience

SMALLEST_SIDE = 32  # pixels a side


def plan_pictures(
    background: torch.Tensor,
    mask: torch.Tensor | None,
    headline: str,
    options: LayoutOptions,
    scene_layout: Layout | Mapping[str, Any] | str | None = None,
    find: Salience | None = None,
    further: Sequence[torch.Tensor] = (),
    hand: Arrangement | None = None,
) -> Layout:
    """`plan` for the first picture of IMAGE [B, H, W, 3] and each product of MASK [P, h, w].

    `further`: MASKs of more products, of photos of any size; all of them then go into one picture, those of `mask` first.
    """
    import torch

    first = background[:1] if isinstance(background, torch.Tensor) else background
    pictures = require_picture("background", first).numpy()
    masks = [] if mask is None else list(require_mask("product_mask", mask))
    for number, more in enumerate(further, start=2):
        masks += list(require_mask(f"product_mask_{number}", more))
    if further:
        options = replace(options, batch=TOGETHER)
    return plan(pictures[0], masks, headline, options, scene_layout, find, hand)


def plan(
    background: np.ndarray,
    masks: list[np.ndarray],
    headline: str,
    options: LayoutOptions,
    scene_layout: Layout | Mapping[str, Any] | str | None = None,
    find: Salience | None = None,
    hand: Arrangement | None = None,
) -> Layout:
    """The layout for a picture [H, W, 3] in 0..1, the products' masks [h, w], and the words.

    `scene_layout`: the layout of a scene from the bank, whose ground and light are known and are not guessed then.

    Without a mask the picture is taken to hold its product already, and only the words are placed. A mask is that of a
    whole photo: a product that reaches the photo's edge is cut off there, and ends at the frame. `find` is a
    salient-object network that tells whether the picture has a subject; without one it is taken to have none. What was
    moved by `hand` stays where it was put, and the rest is planned around it. Raises
    InputError for an empty mask, more than 64 of them, a picture of less than 32 pixels, and one that has not the
    format's shape.
    """
    height, width = background.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise InputError("background", f"{width}x{height}", f"at least {SMALLEST_SIDE} pixels on each side")
    require_shape("background", options.format, width, height)
    if len(masks) > MOST_PRODUCTS:
        raise InputError("product_mask", f"{len(masks)} masks", f"at most {MOST_PRODUCTS}")
    shapes = []
    for index, mask in enumerate(masks):
        check_cancel()
        shapes.append(shape_of(mask, index))
    if shapes and options.batch == EACH:
        shapes = [one_for_each(shapes)]
    given = None if scene_layout is None else _known_layout(scene_layout, width, height)
    scene = analyse(background, not shapes, find if given is None else None)
    if given is not None and given.known is not None:
        scene = scene._replace(horizon=given.known.horizon, known=given.known)
        if options.format == AS_PICTURE:  # a scene has the shape of its format
            options = replace(options, format=AUTO)
    check_cancel()
    frame = frame_of(options, width, height)
    if hand is not None and hand.words is not None:
        headline = hand.words.words or headline
    products, flush = product_places(shapes, scene, frame, options)
    words = HeadlineText(headline, options.vertical)
    task = Task(scene, words, frame, WORD_CRITERIA if shapes else WORD_CRITERIA_ALONE)
    check_cancel()
    layout = _planned(background, products, flush, shapes, task, options, hand or Arrangement())
    layout = layout if given is None else replace(layout, light=given.light, known=given.known)
    return layout if hand is None else arranged(layout, hand)


def _planned(
    background: np.ndarray,
    products: ProductPlaces,
    flush: frozenset[str],
    shapes: list[Shape],
    task: Task,
    options: LayoutOptions,
    hand: Arrangement,
) -> Layout:
    """The best pair. What was placed by hand stays, and so does what it leaves free; what it lies too near to goes to the
    best place around it."""
    import numpy as np

    scene, frame, vertical = task.scene, task.frame, options.vertical
    choice = best_pair(products, word_places(task, options.text_side, products.boxes), scene, frame, vertical)
    automatic = _finished(background, choice, shapes, flush, task, hand)
    layout = arranged(automatic, hand)
    if not layout.by_hand - {LIGHT_ROLE}:
        return layout
    sides = [frame.width, frame.height, frame.width, frame.height]
    by_hand = [one.box for one in layout.overlays if one.role]
    standing, laid = (
        np.array([(box.x, box.y, box.right, box.bottom) for box in boxes]).reshape(-1, 4) / sides
        for boxes in (layout.products, by_hand)
    )
    own = hand.headline
    text = choice.words.boxes if own is None else np.array([own.x, own.y, own.x + own.width, own.y + own.height])
    is_free = not len(standing) or are_apart(standing, text, frame)
    has_moved = any(product_role(index) in layout.by_hand for index in range(len(layout.products)))
    if own is None and not (is_free and (not by_hand or are_apart(laid, text, frame))):
        around = word_places(task, options.text_side, np.concatenate([standing, laid]))
        choice = best_words(standing, laid, around, scene, frame, vertical)
        has_moved = True  # the words go around the products that were planned
    elif own is not None:
        words = word_place(task, text)
        pair = best_pair(products, words, scene, frame, vertical)
        choice = pair if not (is_free or has_moved) else choice._replace(words=pair.words)
    planned = _finished(background, choice, shapes, flush, task, hand)
    return replace(planned, products=layout.products, cuts=layout.cuts) if has_moved else planned


def _known_layout(value: Layout | Mapping[str, Any] | str, width: int, height: int) -> Layout:
    """A scene's layout for a picture of this size. Raises InputError for one that knows no ground."""
    layout = parse(value).on(width, height)
    if layout.known is None:
        raise InputError("scene_layout", "a layout without a known ground", "the layout of Scene, or none")
    return layout


def _finished(
    background: np.ndarray,
    choice: Pair,
    shapes: list[Shape],
    flush: frozenset[str],
    task: Task,
    hand: Arrangement,
) -> Layout:
    scene, frame = task.scene, task.frame
    width, height = frame.width, frame.height
    left, top, right, bottom = (choice.words.boxes * [width, height, width, height]).round().astype(int).tolist()
    text = Box(left, top, max(1, right - left), max(1, bottom - top))
    products = shared_out(choice.products.boxes, shapes, width, height)
    veiled = bool(choice.words.veiled)
    color, scrim, ratio = readable(background[text.y : text.bottom, text.x : text.right], LEAST_VEIL if veiled else 0.0)
    lost = frozenset[str]().union(*(shape.cut for shape in shapes)) - flush
    facts = Facts(choice, products, scene, width, height, color, ratio, scrim, flush, lost, hand.placed())
    reason = reasons(facts)
    return Layout(
        width,
        height,
        products,
        ground=products[0].bottom if products else round((scene.horizon or 0.9) * height),
        text=text,
        text_color=color,
        text_align=alignment(float(choice.words.boxes[0] + choice.words.boxes[2]) / 2),
        scrim=scrim,
        light=estimate_light(background),
        reason_en=reason.en,
        reason_ko=reason.ko,
        reason_ja=reason.ja,
        reason_zh=reason.zh,
        safe=frame.safe,
        cuts=(flush,) * len(products) if flush else (),
    )
