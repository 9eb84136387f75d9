"""Words written where a layout has room for them, and the layout that knows of them afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..canvas import Box
from ..images import require_picture
from ..text import draw, fonts
from ..text.design import AUTO, Design, HandWords
from .adjusted import SHORT_WORD
from .drawing import DrawnPart, continued, first
from .layout import HEADLINE, WORDS, Layout, Light, Overlay
from .lettering import lettering, readable
from .room import free_boxes, meet, writable

if TYPE_CHECKING:
    import numpy as np
    import torch

WORDS_GAP = 0.025  # of the shorter side, between words and what is drawn already
DEEPEST_ROOM = 1 / 3  # of the picture's height: further words are no second headline


def write(
    image: torch.Tensor,
    texts: list[str],
    design: Design,
    typeface: fonts.Typeface,
    layout: Layout | None = None,
) -> tuple[draw.Lettered, Layout]:
    """`text.draw.overlay`, and the layout with the words in it.

    Words whose place the layout chooses avoid what is drawn: where its planned words are in the picture already, further
    ones go into the largest free room. Words that an anchor puts over something are noted.
    """
    pictures = require_picture("image", image)
    height, width = pictures.shape[1:3]
    plan = None
    if layout is not None:
        layout = layout.on(width, height)
        plan, design = planned_for(layout, design, pictures)
    lettered = draw.overlay(image, texts, design, typeface, plan)
    if layout is None:
        layout = Layout(width, height, (), height, lettered.ink, "#ffffff", "center", None, Light(315, 45))
    over = {one.kind for one in layout.overlays if one.drawn and meet(one.box, lettered.ink)}
    if design.anchor != AUTO and any(meet(box, lettered.ink) for box in layout.products[: layout.placed]):
        over.add("product")
    lettered.notes.extend(f"the words lie over the {kind} drawn before" for kind in sorted(over))
    before, after = continued(layout.drawing, first(pictures)), first(lettered.image)
    part = _part(first(lettered.layer), after)
    layout = replace(layout, drawing=before.with_parts((part,), after))
    return lettered, layout.with_overlay(Overlay(WORDS, lettered.ink))


def _part(letters: np.ndarray, after: np.ndarray) -> DrawnPart:
    """The words' layer [H, W, 4] as a part of a drawing, cut to what is not transparent, and copied: a layout that is kept
    holds no whole layers. `after` is the picture with them."""
    import numpy as np

    rows, columns = (np.flatnonzero(letters[..., 3].any(axis)) for axis in (1, 0))
    top, bottom = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 1)
    left, right = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, 1)
    own = letters[top:bottom, left:right].copy()
    return DrawnPart(WORDS, left, top, own[..., 3], color=own[..., :3], after=after[top:bottom, left:right].copy())


def font_by_hand(layout: Layout | None, design: Design) -> str:
    """The font that a person chose for the next words; "" where nobody did, or the words do not follow the layout."""
    if layout is None:
        return ""
    if layout.words_drawn:
        return dict(layout.further_words).get(layout.next_role(WORDS), HandWords()).font
    return layout.hand_words.font if layout.hand_words is not None and design.anchor == AUTO else ""


def planned_for(layout: Layout, design: Design, pictures: torch.Tensor) -> tuple[Layout, Design]:
    """What plans the next words for IMAGE [B, H, W, 3] of the layout's size: the layout itself, or, where its planned words
    are in the picture already, one whose words are the further ones; and their design. An anchor of their own holds
    unless a person put them somewhere."""
    if not layout.words_drawn:
        return layout, design
    role = layout.next_role(WORDS)
    own = dict(layout.further_words).get(role, HandWords())
    layout = replace(layout, hand_words=own, by_hand=layout.by_hand - {HEADLINE}, low_words=False)
    place = layout.place_by_hand(WORDS)
    if place is not None:
        place = place.touching(layout.width, layout.height)
        color, scrim, _ = readable(pictures[0, max(0, place.y) : place.bottom, max(0, place.x) : place.right].numpy())
        placed = replace(layout, text=place, text_color=color, scrim=scrim, by_hand=layout.by_hand | {HEADLINE})
        return placed, replace(design, anchor=AUTO)
    return (layout if design.anchor != AUTO else _further(layout, pictures, layout.width, layout.height)), design


def _further(layout: Layout, pictures: torch.Tensor, width: int, height: int) -> Layout:
    """The layout with the largest free room as the place for words; as it is where nothing is free."""
    gap = round(WORDS_GAP * min(width, height))
    rooms = free_boxes(writable(layout.safe, width, height), layout.taken(), gap)
    if not rooms:
        return layout
    room = max(rooms, key=lambda box: min(box.width / SHORT_WORD, box.height))
    high = min(room.height, round(DEEPEST_ROOM * height))
    drawn = layout.text.y + layout.text.height // 2  # near the words that are there, at the top or bottom of the room
    y = room.y if drawn < room.y + room.height / 2 else room.bottom - high
    text = Box(room.x, y, room.width, high)
    color, align, scrim = lettering(pictures[0].numpy(), text)
    return replace(layout, text=text, text_color=color, text_align=align, scrim=scrim)
