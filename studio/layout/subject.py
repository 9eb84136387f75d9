"""What a scene is a picture of, where it is one of something: by a salient-object network's answer."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import InputError
from ..images import every_nth

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np
    import torch

    # How salient each spot of a picture uint8 [H, W, 3] is: [side, side] in 0..1. Raises InputError where nothing is.
    Salience: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"

NETWORK_SIDE = 320  # pixels: what u2netp looks at
FIRM, FAINT = 0.5, 0.2  # salience: from here on it is the subject; from here on it may be
AREA = (0.005, 0.45)  # of the picture: less is a speck, more is the scene itself
MOST_UNSURE = 0.36  # of what may be the subject: where more of it is neither yes nor no, the network has found a room
BACKDROP_WIDTH, BACKDROP_HEIGHT = 0.6, 0.45  # of the picture: wider and lower than this is furniture, not a subject

KEPT = 32  # answers; 400 KB each


@dataclass
class SaliencyCache:
    """A network that is asked once about each picture: planning the same scene anew costs nothing of it."""

    find: Salience
    _answers: OrderedDict[bytes, torch.Tensor | None] = field(default_factory=OrderedDict)

    def __call__(self, picture: torch.Tensor) -> torch.Tensor:
        """As `find`: what it raised InputError for is remembered too."""
        key = hashlib.sha256(picture.numpy().tobytes()).digest()
        if key not in self._answers:
            try:
                self._answers[key] = self.find(picture)
            except InputError:
                self._answers[key] = None
            if len(self._answers) > KEPT:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        answer = self._answers[key]
        if answer is None:
            raise InputError("background", "a picture in which nothing stands out", "one with a subject")
        return answer


def subject_of(picture: np.ndarray, find: Salience | None) -> np.ndarray | None:
    """The subject of a picture [H, W, 3] in 0..1 as [side, side] in 0..1; None where it has none, or none was looked for."""
    import numpy as np
    import torch
    from PIL import Image

    if find is None:
        return None
    small = Image.fromarray((np.clip(every_nth(picture, 4 * NETWORK_SIDE), 0, 1) * 255).astype(np.uint8))
    square = np.array(small.resize((NETWORK_SIDE, NETWORK_SIDE), Image.Resampling.BILINEAR))
    try:
        salience = find(torch.from_numpy(square)).numpy()
    except InputError:  # nothing stands out
        return None
    return salience if is_subject(salience) else None


def is_subject(salience: np.ndarray) -> bool:
    """Whether a network's answer is one thing, of a size that a photo is taken of, and of which it is sure."""
    area = (salience > FIRM).mean()
    unsure = ((salience > FAINT) & (salience < 1 - FAINT)).sum() / max(1, (salience > FAINT).sum())
    return bool(AREA[0] <= area <= AREA[1] and unsure <= MOST_UNSURE)


def is_backdrop(subject: np.ndarray) -> bool:
    """Whether a subject [h, w] is wide and low: a sofa, a counter, doors. A product may stand before such a thing."""
    import numpy as np

    rows, columns = np.flatnonzero((subject > FIRM).any(1)), np.flatnonzero((subject > FIRM).any(0))
    if not len(rows):
        return False
    wide = (columns[-1] - columns[0] + 1) / subject.shape[1]
    return bool(wide >= BACKDROP_WIDTH and (rows[-1] - rows[0] + 1) / subject.shape[0] <= BACKDROP_HEIGHT)
