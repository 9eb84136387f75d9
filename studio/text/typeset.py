"""Words to lines of a size that fits a box, each glyph with its font and place."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from ..cancelling import check_cancel
from ..canvas import ALIGNED
from ..errors import InputError
from . import bidi, breaking, fonts, markup, sense
from .breaking import Cluster
from .color_glyphs import ColorFont

if TYPE_CHECKING:
    from PIL import ImageFont

SMALLEST_SIZE = 8.0  # pixels an em; below it Hangul is no longer readable
REFERENCE = 256  # pixels an em, at which widths are measured once and scaled
OWN_LINES = 0.7  # of the largest size; at more than this the writer's own lines are not broken further

BELOW = 0.2  # of a row's leading lies below its baseline, where descenders and half the space to the next row are

RUN_ON = 10  # syllables; Hangul longer than this is a sentence without spaces,
LONG_WORD = 20  # letters; a longer one is an address or a made-up word, which may be broken too
RUN_ON_GAIN = 1.5  # whose letters may be broken apart where that makes them so much larger

# Where lines may be broken further than the writer did.
NOWHERE, BY_SENSE, BY_NEED, BETWEEN_WORDS, IN_WORDS = "nowhere", "by sense", "by need", "between words", "in words"
LEAST_BINDING = {BY_SENSE: sense.CLOSE, BY_NEED: sense.BOUND}  # what a break costs from which on there is none
WORTH_OF_BREAKS = {BY_SENSE: 0.8, BY_NEED: 0.65}  # of the size without it, which is worth that words stay together

# Turned by a quarter in vertical writing, or moved to the cell's upper right (JLREQ 2.1, 3.1).
ROTATED = set("ー–—-~〜…‥:;()[]{}<>（）［］｛｝「」『』【】〔〕《》〈〉=|＝")
CORNERS = set("「」『』")  # stand off the middle, as they stand off it in a row
RAISED = set("、。，．,.")


class Setting(NamedTuple):
    """How the words are set; sizes in pixels or in em of the text's size."""

    weight: int = 700  # 100..900
    size: float = 0.0  # pixels an em; 0: the largest that fits
    largest: float = 0.0  # pixels; the limit of "largest that fits"; 0: none
    leading: float = 1.25  # em from baseline to baseline
    tracking: float = 0.0  # em added after each character
    align: str = "center"  # left, center, right; in vertical writing top, center, bottom
    vertical: bool = False
    padding: float = 0.0  # em that stay free on all sides, for an outline or a box around the words
    emphasis: bool = False  # numbers large and the words around them small


class Glyphs(NamedTuple):
    """A piece drawn in one go: its text, font, colour (None: the text's own), and its origin on the baseline."""

    text: str
    font: ImageFont.FreeTypeFont | ColorFont
    color: str | None
    x: float
    y: float
    rotated: bool = False


@dataclass(frozen=True)
class Block:
    """A typeset text: where each glyph goes, around the origin of its own coordinates."""

    glyphs: tuple[Glyphs, ...]
    size: float  # pixels an em
    left: float  # the ink's box, in the coordinates of the glyphs
    top: float
    right: float
    bottom: float
    lines: int
    padding: float  # pixels around the ink that are spoken for
    vertical: bool


class _Line(NamedTuple):
    """A line at the origin: its pieces, and the box of its ink."""

    glyphs: list[Glyphs]
    left: float
    right: float
    top: float
    bottom: float
    scale: float  # of its largest run


class Typesetter:
    """One text in one typeface: measured once, set at any size."""

    def __init__(self, text: str, typeface: fonts.Typeface, setting: Setting):
        self._typeface, self._setting = typeface, setting
        cleaned = markup.clean(text)
        runs = markup.parse(cleaned)
        self._paragraphs = _paragraphs(breaking.clusters_of(markup.emphasise(runs) if setting.emphasis else runs))
        if setting.vertical:
            self._paragraphs = [_upright(paragraph) for paragraph in self._paragraphs]
        every = [cluster.text for paragraph in self._paragraphs for cluster in paragraph]
        self._ideographs = "".join(dict.fromkeys(text for text in every if breaking.is_ideograph(text[0])))
        self._from_right = bidi.begins_right("".join(run.text for run in runs))
        self._widths: dict[tuple[Cluster, ...], float] = {}
        self._heights: dict[tuple[Cluster, ...], tuple[float, float]] = {}
        self._files: dict[tuple[str, int], fonts.FontFile | None] = {}
        self._require_glyphs()
        self._require_shaping(cleaned)

    def _file_for(self, text: str, style: markup.TextStyle) -> fonts.FontFile | None:
        """Han and kana come from one font where one has them all: two in a line would differ in weight and shape."""
        key = (text, style.weight or self._setting.weight)
        if key not in self._files:
            file = None
            if breaking.is_ideograph(text[0]):
                file = self._typeface.file_for(self._ideographs, key[1])
            self._files[key] = file or self._typeface.file_for(*key)
        return self._files[key]

    def _require_glyphs(self) -> None:
        lacking: dict[str, None] = {}
        for cluster in dict.fromkeys(cluster for paragraph in self._paragraphs for cluster in paragraph):
            file = self._file_for(*cluster)
            weight = cluster.style.weight or self._setting.weight
            if file is None or fonts.is_blank(file, weight, cluster.text):
                lacking[cluster.text] = None
        if lacking:
            shown = " ".join(f"{text} (U+{ord(text[0]):04X})" for text in list(lacking)[:10])
            raise InputError("text", shown, f"characters that an installed font has; {_where_from(lacking)}")

    def _require_shaping(self, text: str) -> None:
        if not breaking.COMPLEX.search(text):
            return
        if not fonts.has_complex_shaping():
            raise InputError("text", text, "a script that needs no shaping, since Pillow has no raqm and fribidi here")
        if self._setting.tracking or self._setting.vertical:
            raise InputError("tracking", self._setting.tracking, "0, and horizontal writing: this script joins letters")

    def _pieces(self, clusters: Sequence[Cluster]) -> list[tuple[str, fonts.FontFile, markup.TextStyle]]:
        """From left to right: neighbours of one font, style and direction, joined; one by one where they are spaced or
        written downwards."""
        apart = bool(self._setting.tracking) or self._setting.vertical
        pieces: list[tuple[str, fonts.FontFile, markup.TextStyle]] = []
        found: list[int] = []  # the level of each piece
        own = self._levels([cluster.text for cluster in clusters])
        for (text, style), level in zip(clusters, own):
            file = self._file_for(text, style)
            assert file is not None  # _require_glyphs
            text = text.replace("\u00a0", " ").replace("\u202f", " ")  # a font need not have them
            if pieces and not apart and pieces[-1][1:] == (file, style) and found[-1] == level:
                pieces[-1] = (pieces[-1][0] + text, file, style)
            else:
                pieces.append((text, file, style))
                found.append(level)
        return [pieces[index] for index in bidi.visual_order(found)]

    def _levels(self, texts: Sequence[str]) -> list[int]:
        """Directions of a line's clusters; all alike where nothing runs from right to left."""
        if not breaking.is_right_to_left("".join(texts)):
            return [0] * len(texts)
        return bidi.levels(texts, self._from_right)

    def _font(self, file: fonts.FontFile, style: markup.TextStyle, size: float) -> ImageFont.FreeTypeFont | ColorFont:
        return fonts.sized(file, round(size * style.size, 2), style.weight or self._setting.weight)

    def _measure(self, clusters: Sequence[Cluster]) -> float:
        """Length in em."""
        key = tuple(clusters)
        if key not in self._widths:
            pieces = self._pieces(clusters)
            if self._setting.vertical:
                length = sum(
                    style.size * (_downward(text, self._font(file, style, REFERENCE)) + self._setting.tracking)
                    for text, file, style in pieces
                )
            else:
                length = sum(self._advances(pieces, REFERENCE)) / REFERENCE
            self._widths[key] = length
        return self._widths[key]

    def _advances(self, pieces: Sequence[tuple[str, fonts.FontFile, markup.TextStyle]], size: float) -> list[float]:
        """Pixels from each piece to the next at `size`; spaced letters keep the kerning of the pair."""
        advances = []
        for index, (text, file, style) in enumerate(pieces):
            font = self._font(file, style, size)
            following = pieces[index + 1] if index + 1 < len(pieces) else None
            if self._setting.tracking and following is not None and following[1:] == (file, style):
                advance = font.getlength(text + following[0]) - font.getlength(following[0])
            else:
                advance = font.getlength(text)
            advances.append(advance + self._setting.tracking * size * style.size)
        return advances

    def _wrap(self, length: float, size: float, breaks: str) -> list[list[Cluster]] | None:
        """Lines that fit `length` pixels at `size`."""
        lines: list[list[Cluster]] = []
        for paragraph in self._paragraphs:
            units = breaking.units_of(paragraph)
            together = LEAST_BINDING.get(breaks, math.inf)
            limits = (length / size, self._measure, breaks == IN_WORDS, together)
            wrapped = breaking.wrap(units, *limits) if units else [[]]
            if wrapped is None or (breaks == NOWHERE and len(wrapped) > 1):
                return None
            for line in wrapped:
                clusters = [cluster for unit in line for cluster in (*unit.clusters, *unit.space)]
                while clusters and clusters[-1].text == " ":
                    clusters.pop()
                lines.append(clusters)
        return lines

    def fit(self, width: float, height: float) -> Block:
        """The text in a box of `width` x `height` pixels. Raises InputError where it does not fit.

        At a fixed size words wider than the box are broken; the largest size that fits breaks none, unless only the
        smallest one would do otherwise, or for Hangul without spaces that gets much larger. Lines that the writer made
        stay whole where that costs little size.
        """
        size = self._setting.size
        if size:
            ways = (self._set(width, height, size, breaks) for breaks in (*WORTH_OF_BREAKS, IN_WORDS))
            block = next((block for block in ways if block is not None), None)
            if block is None:
                raise InputError("size", size, f"a size at which the text fits {width:.0f} x {height:.0f} pixels")
            return block
        largest = min(self._setting.largest or height * 2, height * 2)
        own = self._largest(width, height, largest, NOWHERE) if len(self._paragraphs) > 1 else None
        if own is not None and not self._fits(width, height, min(largest, own.size / OWN_LINES), BETWEEN_WORDS):
            return own
        block = self._sensible(width, height, largest)
        if block is None or (self._runs_on() and self._fits(width, height, block.size * RUN_ON_GAIN, IN_WORDS)):
            block = self._largest(width, height, largest, IN_WORDS) or block
        if block is not None:
            return block
        raise InputError(
            "text",
            "".join(cluster.text for paragraph in self._paragraphs for cluster in paragraph),
            f"words that fit {width:.0f} x {height:.0f} pixels at {SMALLEST_SIZE:g} pixels an em; shorten it or enlarge the box",
        )

    def _sensible(self, width: float, height: float, largest: float) -> Block | None:
        """The largest block with breaks between words; a smaller one where words that belong together are worth it."""
        block = self._largest(width, height, largest, BETWEEN_WORDS)
        for breaks, worth in WORTH_OF_BREAKS.items():
            if block is not None and self._fits(width, height, worth * block.size, breaks):
                return self._largest(width, height, largest, breaks) or block
        return block

    def _runs_on(self) -> bool:
        units = (unit.clusters for paragraph in self._paragraphs for unit in breaking.units_of(paragraph))
        return any(
            len(unit) > LONG_WORD or sum(breaking.is_hangul(one.text[0]) for one in unit) > RUN_ON for unit in units
        )

    def _largest(self, width: float, height: float, largest: float, breaks: str) -> Block | None:
        """The block at the largest size that fits, to within about a per cent; None if not even the smallest does."""
        low, high = SMALLEST_SIZE, max(SMALLEST_SIZE, largest)
        while high - low > max(0.5, low * 0.008):
            middle = (low + high) / 2
            low, high = (middle, high) if self._fits(width, height, middle, breaks) else (low, middle)
        block, size = None, low
        for _ in range(24):  # hinting makes a size a little larger than the measured one
            block = self._set(width, height, size, breaks)
            if block is not None or size == SMALLEST_SIZE:
                break
            size = max(SMALLEST_SIZE, size * 0.985)
        return block

    def _fits(self, width: float, height: float, size: float, breaks: str) -> bool:
        """Whether the text fits as far as measures at REFERENCE tell."""
        along, across = (height, width) if self._setting.vertical else (width, height)
        check_cancel()
        frame = 2 * self._setting.padding * size
        lines = self._wrap(along - frame, size, breaks)
        if lines is None:
            return False
        scales = [max((cluster.style.size for cluster in line), default=1.0) for line in lines]
        stack = sum(_step(*pair, self._setting) for pair in pairwise(scales)) * size
        if self._setting.vertical or stack > across:
            return stack + scales[0] * size <= across - frame
        first, last = (self._height(lines[end]) for end in (0, -1))  # lines between them never reach as far
        return stack + (first[0] + last[1]) * size <= across - frame

    def _height(self, clusters: Sequence[Cluster]) -> tuple[float, float]:
        """How far the ink of a line reaches above and below its baseline, in em."""
        key = tuple(clusters)
        if key not in self._heights:
            line = self._line(clusters, REFERENCE)
            self._heights[key] = (-line.top / REFERENCE, line.bottom / REFERENCE)
        return self._heights[key]

    def _set(self, width: float, height: float, size: float, breaks: str) -> Block | None:
        """None where it does not fit."""
        vertical = self._setting.vertical
        width, height = (side - 2 * self._setting.padding * size for side in (width, height))
        lines = self._wrap(height if vertical else width, size, breaks)
        if lines is None or len(lines) * size * 0.5 > (width if vertical else height):
            return None
        block = (_columns if vertical else _rows)([self._line(line, size) for line in lines], size, self._setting)
        fits = block.right - block.left <= width + 0.5 and block.bottom - block.top <= height + 0.5
        return block if fits else None

    def _line(self, clusters: Sequence[Cluster], size: float) -> _Line:
        if self._setting.vertical:
            return self._column(clusters, size)
        glyphs: list[Glyphs] = []
        x, top, bottom, scale = 0.0, 0.0, 0.0, 1.0 if not clusters else 0.0
        pieces = self._pieces(clusters)
        for (text, file, style), advance in zip(pieces, self._advances(pieces, size)):
            font = self._font(file, style, size)
            box = font.getbbox(text, anchor="ls")
            top, bottom = min(top, box[1]), max(bottom, box[3])
            glyphs.append(Glyphs(text, font, style.color, x, 0.0))
            x += advance
            scale = max(scale, style.size)
        if not clusters:
            return _Line(glyphs, 0.0, 0.0, 0.0, 0.0, scale)
        order = bidi.visual_order(self._levels([cluster.text for cluster in clusters]))
        first, last = clusters[order[0]], clusters[order[-1]]
        right = x - self._setting.tracking * size * last.style.size
        left = self._bearings(first).left * size * first.style.size
        return _Line(glyphs, left, right - self._bearings(last).right * size * last.style.size, top, bottom, scale)

    def _bearings(self, cluster: Cluster) -> fonts.Bearings:
        file = self._file_for(*cluster)
        found = file and fonts.side_bearings(file, cluster.style.weight or self._setting.weight, cluster.text)
        return found or fonts.Bearings(0.0, 0.0, 0.0)

    def _column(self, clusters: Sequence[Cluster], size: float) -> _Line:
        """Downwards from the origin, each character centred on x = 0."""
        glyphs: list[Glyphs] = []
        y, wide, scale = 0.0, 0.0, 1.0 if not clusters else 0.0
        for text, file, style in self._pieces(clusters):
            em = size * style.size
            font = self._font(file, style, size)
            if len(text) > 1 and font.getlength(text) > em:  # two figures side by side, made to fit the column
                font = self._font(file, style, size * em / font.getlength(text))
            box = font.getbbox(text, anchor="ls")
            down = em * _downward(text, font)
            middle = y + down / 2
            if text in RAISED:
                ink_right = font.getlength(text) - self._bearings(Cluster(text, style)).right * em
                glyphs.append(Glyphs(text, font, style.color, em * 0.45 - ink_right, y + em * 0.05 - box[1]))
            else:
                x, base = -(box[0] + box[2]) / 2, middle - (box[1] + box[3]) / 2
                if text in ROTATED and text not in CORNERS:  # a dash above the baseline would stand beside the middle
                    x += self._bearings(Cluster(text, style)).middle * em - (box[1] + box[3]) / 2
                glyphs.append(Glyphs(text, font, style.color, x, base, text in ROTATED))
            y += down + em * self._setting.tracking
            wide, scale = max(wide, em), max(scale, style.size)
        return _Line(glyphs, -wide / 2, wide / 2, 0.0, y, scale)


def _where_from(lacking: Iterable[str]) -> str:
    """Which font to put where, for characters that none has."""
    if any(breaking.is_ideograph(text[0]) for text in lacking):
        return "put NotoSansCJK-Regular.ttc or NotoSansCJK-Bold.ttc (Han and kana) into ComfyUI's models/fonts"
    return "put one into ComfyUI's models/fonts"


def _downward(text: str, font: ImageFont.FreeTypeFont | ColorFont) -> float:
    """What a character takes of a column, in em: a turned one its width, a comma or full stop half (JLREQ 3.1.2)."""
    if text == " ":
        return 0.4
    if text in RAISED:
        return 0.5
    return font.getlength(text) / font.size if text in ROTATED else 1.0


def _upright(clusters: Sequence[Cluster]) -> list[Cluster]:
    """Pairs of figures (the 50 of 50%, the 12 of 7/12) as one character of a column, as JLREQ 2.3.2 has them."""
    text = "".join(cluster.text if len(cluster.text) == 1 else "\ufffd" for cluster in clusters)
    starts = {match.start() for match in re.finditer(r"(?<![0-9.,])[0-9]{2}(?![0-9.,])", text)}
    joined: list[Cluster] = []
    for index, cluster in enumerate(clusters):
        if index - 1 in starts and clusters[index - 1].style == cluster.style:
            joined[-1] = Cluster(joined[-1].text + cluster.text, cluster.style)
        else:
            joined.append(cluster)
    return joined


def _paragraphs(clusters: Sequence[Cluster]) -> list[list[Cluster]]:
    lines: list[list[Cluster]] = [[]]
    for cluster in clusters:
        if cluster.text == "\n":
            lines.append([])
        else:
            lines[-1].append(cluster)
    return lines


def _step(before: float, after: float, setting: Setting) -> float:
    """Em from one line to the next, whose largest runs have these scales: a part of either's leading, so that small print
    neither runs into a large line above it nor stands far off the one below. Columns are spaced from middle to middle."""
    share = 0.5 if setting.vertical else BELOW
    return setting.leading * (share * before + (1 - share) * after)


def _rows(lines: Sequence[_Line], size: float, setting: Setting) -> Block:
    """Lines under one another, aligned by their ink, so that edges look straight."""
    width = max(line.right - line.left for line in lines)
    share = ALIGNED[setting.align]
    glyphs, baseline, top, bottom = [], 0.0, 0.0, 0.0
    for index, line in enumerate(lines):
        if index:
            baseline += _step(lines[index - 1].scale, line.scale, setting) * size
        shift = (width - (line.right - line.left)) * share - line.left
        glyphs += [glyph._replace(x=glyph.x + shift, y=baseline) for glyph in line.glyphs]
        if line.glyphs:
            top, bottom = min(top, baseline + line.top), max(bottom, baseline + line.bottom)
    return Block(tuple(glyphs), size, 0.0, top, width, bottom, len(lines), setting.padding * size, False)


def _columns(lines: Sequence[_Line], size: float, setting: Setting) -> Block:
    """Columns from right to left."""
    height = max(line.bottom for line in lines)
    share = ALIGNED[setting.align]
    glyphs, x, left, right = [], 0.0, 0.0, 0.0
    for index, line in enumerate(lines):
        if index:
            x -= _step(lines[index - 1].scale, line.scale, setting) * size
        shift = (height - line.bottom) * share
        glyphs += [glyph._replace(x=glyph.x + x, y=glyph.y + shift) for glyph in line.glyphs]
        left, right = min(left, x + line.left), max(right, x + line.right)
    return Block(tuple(glyphs), size, left, 0.0, right, height, len(lines), setting.padding * size, True)
