"""What the Python API's functions give back, and what they say meanwhile."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .. import atomic
from ..errors import InputError
from ..images import to_pil
from ..layout.layout import Layout
from ..sampling.unfinished import Unfinished

if TYPE_CHECKING:
    import torch
    from PIL import Image

JPEG_QUALITY = 95


class Step(NamedTuple):
    """How far the work on one picture is."""

    stage: str  # "load", "cut out", "encode", "sample", "decode", "plan", "place", "write", "brand"
    done: int
    total: int
    picture: int  # 0 for the first


Progress = Callable[[Step], object]


class Stage(NamedTuple):
    """A part of the work and how long it took."""

    name: str  # as in Step
    seconds: float


@dataclass(frozen=True)
class Report:
    """How a picture was made: what took how long, with which seed and model."""

    stages: tuple[Stage, ...]
    notes: tuple[str, ...]  # what was cut off or substituted, and under which licences the picture was made
    seed: int | None = None
    model: str | None = None

    @property
    def seconds(self) -> float:
        """All stages together."""
        return sum(stage.seconds for stage in self.stages)

    def to_json(self) -> str:
        """The report as one JSON object, its stages as a list of objects."""
        return json.dumps({**asdict(self), "stages": [stage._asdict() for stage in self.stages]}, ensure_ascii=False)


@dataclass(frozen=True, eq=False)
class Result:
    """One picture."""

    image: torch.Tensor  # IMAGE [1, H, W, 3] in 0..1
    report: Report
    layout: Layout | None = None  # where everything stands in an advertisement
    mask: torch.Tensor | None = None  # MASK [1, H, W] of an advertisement's product
    path: Path | None = None  # where it was saved
    unfinished: Unfinished | None = None  # where a time limit cut the drawing off: what `resume` takes

    def to_pil(self) -> Image.Image:
        """The picture in 8 bits a channel."""
        return to_pil(self.image)[0]

    def save(self, path: str | Path) -> Result:
        """Write a file in the format that the name's ending says; the same result with its `path`.

        What stands at `path` is replaced in one go: a crash leaves the old file or the new one. Raises InputError for a
        folder that is missing and an ending that Pillow does not write.
        """
        from PIL import Image

        target = Path(path)
        endings = Image.registered_extensions()
        kind = endings.get(target.suffix.lower())
        if kind not in Image.SAVE:
            raise InputError("path", str(path), "a name that ends in .png, .jpg, .webp or alike")
        if not target.parent.is_dir():
            raise InputError("path", str(path), "a folder that exists")
        try:
            encoded = self._encoded(str(kind))
        except (OSError, ValueError) as error:  # formats without colours, and such as want a library of their own
            raise InputError("path", str(path), f"a name that ends in .png, .jpg, .webp or alike ({error})") from error
        atomic.write(target, encoded, 0o644)
        return replace(self, path=target)

    def _encoded(self, kind: str) -> bytes:
        """The file of one of Pillow's formats."""
        options = {"quality": JPEG_QUALITY, "subsampling": 0} if kind == "JPEG" else {}
        buffer = io.BytesIO()
        self.to_pil().save(buffer, kind, **options)
        return buffer.getvalue()


class StageClock:
    """Times the stages of one picture and tells of them."""

    def __init__(self, progress: Progress | None, picture: int = 0):
        self._progress, self._picture = progress, picture
        self._stages: list[Stage] = []
        self._told = (0, 1)  # done and total, last
        self.notes: list[str] = []

    def of_picture(self, index: int) -> StageClock:
        """The one for picture `index` of several; loading counts for the first."""
        return StageClock(self._progress, index) if index else self

    def tell(self, stage: str, done: int, total: int) -> None:
        """Call `progress` with a `Step`. Whatever it raises ends the work."""
        self._told = (done, total)
        if self._progress is not None:
            self._progress(Step(stage, done, total, self._picture))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Begun and ended in what is told; its seconds stand in the report."""
        self.tell(name, 0, 1)
        start = time.perf_counter()
        yield
        self._stages.append(Stage(name, round(time.perf_counter() - start, 4)))
        if self._told == (0, 1):  # a stage that counts its own steps has told of each, and may end before the last
            self.tell(name, 1, 1)

    def note(self, text: str) -> None:
        """Add a line to the report, once."""
        if text not in self.notes:
            self.notes.append(text)

    def report(self, seed: int | None = None, model: str | None = None) -> Report:
        """What was recorded so far."""
        return Report(tuple(self._stages), tuple(self.notes), seed, model)
