"""The scene bank: folders of pictures with what is known of each in scene.json. Strangers' folders are read too.

    SCENE/scene.json   {"version": 1, "setting": ..., "palette": ..., "trades": [...], "caption": ..., "light": {...},
                        "formats": {"1:1": {"file": "1x1.webp", "stand": [x, y], "horizon": y, ...}, ...}}
    SCENE/1x1.webp     a picture a format

Places are shares of a picture's width and height from its top left.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError
from ..layout.layout import KnownGround, Light
from ..paths import is_device

BUNDLED = Path(__file__).parents[2] / "models" / "scenes"
FILE = "scene.json"
LARGEST_FILE = 64 * 1024  # bytes
MOST_SCENES = 500  # of one folder
PICTURE_SUFFIXES = (".webp", ".png", ".jpg", ".jpeg")
SCENE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
TAG_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,60}")
LONGEST_CAPTION = 600  # characters
PROPORTION = re.compile(r"(\d{1,4}(?:\.\d{1,4})?):(\d{1,4}(?:\.\d{1,4})?)")


class SceneError(InputError):
    """A scene's folder that cannot be used: which field, what stands there, what would be right."""


class Region(NamedTuple):
    """Shares of a picture's width and height."""

    left: float
    top: float
    right: float
    bottom: float


class Shot(NamedTuple):
    """A scene's picture in one format, and what is known of it."""

    file: Path
    aspect: float  # width over height
    ground: KnownGround
    unit: float  # how much of the height ten centimetres cover where the product stands
    calm: tuple[Region, ...]  # where words can be read, the largest first


@dataclass(frozen=True)
class Scene:
    """A rendered scene: what it shows, and what is known of its ground and light."""

    id: str
    setting: str
    palette: str
    trades: tuple[str, ...]  # keys of the trade presets that it suits
    caption: str  # English, for FLUX
    light: Light
    licence: str
    down: float  # degrees that the camera looks down on the product
    shots: tuple[Shot, ...]  # one a format
    mirrored: bool = False  # left and right are exchanged, in the pictures too

    def shot_for(self, aspect: float) -> Shot:
        """The shot whose proportions are nearest to `aspect` (width over height)."""
        return min(self.shots, key=lambda shot: abs(math.log(shot.aspect / aspect)))


class Bank(NamedTuple):
    """All scenes that could be read."""

    scenes: Mapping[str, Scene]  # id -> scene
    problems: tuple[str, ...]  # folders that could not be used, and why


def read_bank(*folders: Path) -> Bank:
    """The scenes of these folders; a later one's scene replaces an earlier one of the same id. A broken scene is named
    and stops no other."""
    scenes: dict[str, Scene] = {}
    problems = []
    for folder in folders:
        for path in _scene_folders(folder):
            try:
                scenes[path.name] = read_scene(path)
            except InputError as error:
                problems.append(f"scene {path.name}: {error}")
    return Bank(scenes, tuple(problems))


def labels(*folders: Path) -> dict[str, tuple[str, str]]:
    """Setting and palette of every scene that says them. For lists, which ComfyUI makes at every start: all else of a scene is
    looked at when one is chosen."""
    found = {}
    for folder in folders:
        for path in _scene_folders(folder):
            try:
                record = _record(path / FILE)
                found[path.name] = (
                    _word("setting", record.get("setting")),
                    _word("palette", record.get("palette", "any")),
                )
            except InputError:  # `read_bank` says what is wrong with it
                continue
    return found


def stamps(*folders: Path) -> tuple[tuple[str, int, int], ...]:
    """What changes when a scene is added, changed or removed."""
    found = []
    for folder in folders:
        for path in _scene_folders(folder):
            stat = (path / FILE).stat()
            found.append((path.name, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def _scene_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = (path for path in sorted(folder.iterdir()) if SCENE_NAME.fullmatch(path.name) and (path / FILE).is_file())
    return [path for path, _ in zip(found, range(MOST_SCENES))]


def read_scene(folder: Path) -> Scene:
    """A scene from its folder; pictures are not opened yet. Raises SceneError that names the field."""
    record = _record(folder / FILE)
    formats = record.get("formats")
    if not isinstance(formats, Mapping) or not 1 <= len(formats) <= 24:
        raise SceneError("formats", formats, 'at least one format, such as "1:1": {"file": ...}')
    trades = record.get("trades", [])
    if not isinstance(trades, list) or len(trades) > 100:
        raise SceneError("trades", trades, "a list of trade keys")
    light = _mapping("light", record.get("light"))
    return Scene(
        id=folder.name,
        setting=_word("setting", record.get("setting")),
        palette=_word("palette", record.get("palette", "any")),
        trades=tuple(_word("trades", trade) for trade in trades),
        caption=_caption(record.get("caption", "")),
        light=Light(
            _number("light.azimuth", light.get("azimuth"), 0, 360),
            _number("light.elevation", light.get("elevation"), 0, 90),
        ),
        licence=_word("licence", record.get("licence", "not stated")),
        down=_number("down", record.get("down", 12), -10, 90),
        shots=tuple(_shot(folder, str(name), value) for name, value in formats.items()),
    )


def mirrored(scene: Scene) -> Scene:
    """The scene with left and right exchanged: its pictures hold no writing."""
    swapped = re.sub(r"\b(left|right)\b", lambda found: {"left": "right", "right": "left"}[found[0]], scene.caption)
    return replace(
        scene,
        caption=swapped,
        light=Light((360 - scene.light.azimuth) % 360, scene.light.elevation),
        shots=tuple(map(_mirrored_shot, scene.shots)),
        mirrored=not scene.mirrored,
    )


def _mirrored_shot(shot: Shot) -> Shot:
    ground = shot.ground
    return shot._replace(
        ground=ground._replace(
            support=tuple((1 - x, y) for x, y in reversed(ground.support)), stand=(1 - ground.stand[0], ground.stand[1])
        ),
        calm=tuple(Region(1 - r.right, r.top, 1 - r.left, r.bottom) for r in shot.calm),
    )


# --- reading ----------------------------------------------------------------------------------------------------------


def _record(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE + 1)
        if len(text) > LARGEST_FILE:
            raise SceneError(FILE, f"more than {LARGEST_FILE} bytes", f"at most {LARGEST_FILE} bytes")
        record = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise SceneError(FILE, path.name, f"a readable JSON file ({error})") from None
    if not isinstance(record, Mapping) or record.get("version") != 1:
        raise SceneError("version", record.get("version") if isinstance(record, Mapping) else record, "1")
    return record


def _shot(folder: Path, name: str, value: Any) -> Shot:
    proportion = PROPORTION.fullmatch(name)
    if not proportion or not all(float(part) > 0 for part in proportion.groups()):
        raise SceneError("formats", name, 'width to height, such as "4:5"')
    field = f"formats.{name}"
    shot = _mapping(field, value)
    support = shot.get("support", [])
    if not isinstance(support, list) or len(support) > 64:
        raise SceneError(f"{field}.support", support, "a list of at most 64 corners [x, y]")
    calm = shot.get("calm", [])
    if not isinstance(calm, list) or len(calm) > 16:
        raise SceneError(f"{field}.calm", calm, "a list of at most 16 boxes [left, top, right, bottom]")
    ground = KnownGround(
        support=tuple(_point(f"{field}.support", corner) for corner in support),
        stand=_point(f"{field}.stand", shot.get("stand")),
        horizon=_number(f"{field}.horizon", shot.get("horizon"), -10, 10),
    )
    width, height = (float(part) for part in proportion.groups())
    return Shot(
        file=folder / _file(f"{field}.file", shot.get("file")),
        aspect=min(10.0, max(0.1, width / height)),
        ground=ground,
        unit=_number(f"{field}.unit", shot.get("unit", 0.2), 0.001, 10),
        calm=tuple(_region(f"{field}.calm", box) for box in calm),
    )


def _file(field: str, value: Any) -> str:
    """A plain name inside the scene's own folder."""
    if (
        not isinstance(value, str)
        or not value.lower().endswith(PICTURE_SUFFIXES)
        or not SCENE_NAME.fullmatch(value.rpartition(".")[0])
        or is_device(value)
    ):
        raise SceneError(field, value, "the plain name of a file beside scene.json, " + ", ".join(PICTURE_SUFFIXES))
    return value


def _mapping(field: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SceneError(field, value, "an object with its fields")
    return value


def _word(field: str, value: Any) -> str:
    if not isinstance(value, str) or not TAG_TEXT.fullmatch(value):
        raise SceneError(field, value, "a name of 1 to 60 characters")
    return value


def _caption(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_CAPTION or "\x00" in value:
        raise SceneError("caption", value, f"a text of at most {LONGEST_CAPTION} characters")
    return value


def _number(field: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise SceneError(field, value, f"a number from {low:g} to {high:g}")
    return float(value)


def _numbers(field: str, value: Any, count: int) -> list[float]:
    if not isinstance(value, list) or len(value) != count:
        raise SceneError(field, value, f"{count} numbers from 0 to 1")
    return [_number(field, part, 0, 1) for part in value]


def _point(field: str, value: Any) -> tuple[float, float]:
    x, y = _numbers(field, value, 2)
    return x, y


def _region(field: str, value: Any) -> Region:
    region = Region(*_numbers(field, value, 4))
    if region.left >= region.right or region.top >= region.bottom:
        raise SceneError(field, value, "left before right, top before bottom")
    return region


def picture_problems(bank: Bank) -> Iterable[str]:
    """Files that the bank's scenes name and that are not there."""
    return (
        f"{scene.id}: {shot.file.name}"
        for scene in bank.scenes.values()
        for shot in scene.shots
        if not shot.file.is_file()
    )
