"""The colour of letters and the veil under them: what can be read on the pixels that they lie on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import contrast
from ..contrast import Scrim
from .design import AUTO, Design, TextPlan

if TYPE_CHECKING:
    import numpy as np

SCRIM_COLORS = ("#000000", "#ffffff")
LARGE_TEXT = 3.0  # contrast; WCAG 2.2, success criterion 1.4.3, for large letters:
FIRM_SCRIM = 0.35  # opacity of one that was asked for
FIRM_OUTLINE, FIRM_BOX = 0.03, 0.5  # em, opacity: from here on letters need no veil
LIGHT_BONUS = 0.3  # opacity; light letters on a darkened photo look cleaner than dark ones on a whitened one


def colors_for(
    design: Design, plan: TextPlan | None, inks: list[str], under: np.ndarray, large: bool
) -> tuple[str, Scrim, str]:
    """Text colour, scrim (opacity 0: none) and a note. `inks` are the colours of single runs; `large` letters in a colour
    of the user's own need no more contrast than WCAG asks of them, or a brand's red would stand in fog."""
    plan = plan if design.anchor == AUTO else None
    if design.color != AUTO:
        options: tuple[str, ...] = (design.color,)
    else:
        options = (contrast.LIGHT, contrast.DARK) if plan is None else (plan.color, contrast.LIGHT, contrast.DARK)
    if design.box_opacity and design.box_color != AUTO:
        under = under * (1 - design.box_opacity) + contrast.rgb_of(design.box_color) * design.box_opacity
    # Letters with a firm edge or ground of their own need no veil.
    framed = design.outline >= FIRM_OUTLINE or design.box_opacity >= FIRM_BOX
    may_veil = design.scrim == "on" or (design.scrim == AUTO and not framed)

    if design.color == AUTO and design.palette:
        kept = plan.scrim if plan is not None and may_veil else None
        own = readable_one(design.palette, under, kept)
        if own is not None and design.scrim != "on":
            return own, kept or Scrim(SCRIM_COLORS[0], 0.0), ""
    if plan is not None and plan.scrim is not None and may_veil:  # the plan's colour was chosen for the plan's scrim
        veiled = under * (1 - plan.scrim.opacity) + contrast.rgb_of(plan.scrim.color) * plan.scrim.opacity
        if contrast.worst_contrast(options[0], veiled) >= contrast.READABLE:
            return options[0], plan.scrim, ""
    color = options[0]
    if framed and len(options) > 1:
        color = _framed_color(design, plan, options, inks, under)
    elif plan is None or contrast.worst_contrast(color, under) < contrast.READABLE:
        color, ratio = contrast.best_color(under, options)
        if ratio < contrast.READABLE and may_veil:
            color = min(
                options, key=lambda o: _scrim_for(o, [], under).opacity - (LIGHT_BONUS if o == contrast.LIGHT else 0)
            )
    wanted = LARGE_TEXT if large and design.color != AUTO else contrast.READABLE
    scrim = _scrim_for(color, inks, under, wanted) if may_veil else Scrim(SCRIM_COLORS[0], 0.0)
    if design.scrim == "on":
        return color, scrim._replace(opacity=max(FIRM_SCRIM, scrim.opacity)), ""
    what = "no colour reads" if design.color == AUTO else f"{color} does not read"
    note = f"{what} well here; a scrim of {scrim.opacity:.0%} was put under the words" if scrim.opacity else ""
    return color, scrim, note


def readable_one(palette: tuple[str, ...], under: np.ndarray, scrim: Scrim | None = None) -> str | None:
    """The first colour that reads on the pixels `under` [N, 3] with a veil over them; None where none does."""
    if scrim is not None:
        under = under * (1 - scrim.opacity) + contrast.rgb_of(scrim.color) * scrim.opacity
    reading = (color for color in palette if contrast.worst_contrast(color, under) >= contrast.READABLE)
    return next(reading, None)


def _framed_color(
    design: Design, plan: TextPlan | None, options: tuple[str, ...], inks: list[str], under: np.ndarray
) -> str:
    """The colour of letters that bring an outline or a box: what is under them matters less than what frames them, on
    which they and the runs' own colours must read. The plan's colour, where that will do."""

    def unread(color: str) -> int:
        own = design.outline_color if design.outline >= FIRM_OUTLINE else design.box_color
        frame = contrast.rgb_of(opposite(color) if own == AUTO else own)[None]
        return sum(contrast.worst_contrast(ink, frame) < LARGE_TEXT for ink in (color, *inks))

    fewest = min(map(unread, options))
    reading = tuple(option for option in options if unread(option) == fewest)
    given = design.box_opacity >= FIRM_BOX and design.box_color != AUTO  # a ground that a plan knows nothing of
    return reading[0] if plan is not None and not given else contrast.best_color(under, reading)[0]


def _scrim_for(color: str, inks: list[str], under: np.ndarray, wanted: float = contrast.READABLE) -> Scrim:
    """The lightest scrim on which `color` has the contrast `wanted`, and the runs' own colours as large text must, where that can be had."""
    veil, _ = contrast.best_color(contrast.rgb_of(color)[None], SCRIM_COLORS)
    opacities = [contrast.scrim_opacity(color, veil, under, wanted)]
    for ink in dict.fromkeys(inks):
        if contrast.worst_contrast(ink, contrast.rgb_of(veil)[None]) >= contrast.READABLE:
            opacities.append(contrast.scrim_opacity(ink, veil, under, LARGE_TEXT))
    return Scrim(veil, max(opacities))


def opposite(color: str) -> str:
    """White for dark colours and nearly black for light ones."""
    return contrast.best_color(contrast.rgb_of(color)[None])[0]
