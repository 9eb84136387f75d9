"""A product out of its photograph: which pixels are it, how much of each, and in what colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import InputError, ModelFilesError, require_number
from ..images import require_colors, to_levels
from . import matting, outline, solid

if TYPE_CHECKING:
    import numpy as np
    import torch

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CENTERED = ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
APACHE = "Apache-2.0"
TELL_UNSURE = 0.03  # of the product's area
FREE = "free for commercial use"


class Network(NamedTuple):
    """A salient-object network as rembg uses it: what it wants to see, and on what terms it comes."""

    side: int  # pixels; it looks at a square, whatever the picture's proportions
    mean: tuple[float, float, float]  # subtracted from the picture in 0..1, whose brightest value is 1
    deviation: tuple[float, float, float]  # what that is divided by
    logits: bool  # its output still wants a sigmoid
    room: float  # GiB that a run takes on a GPU, weights included
    licence: str
    commercial: str = FREE

    @property
    def terms(self) -> str:
        return f"licence {self.licence}; {self.commercial}"


_BIREFNET = Network(1024, *IMAGENET, logits=True, room=8, licence="MIT")
_U2NET = Network(320, *IMAGENET, logits=False, room=1, licence=APACHE)
# By rembg's names; the file of each is NAME.onnx. Networks that run on somebody else's computer are not in it.
NETWORKS: dict[str, Network] = {
    "u2netp": _U2NET,
    "u2net": _U2NET,
    "u2net_human_seg": _U2NET,
    "silueta": _U2NET,
    "isnet-general-use": Network(1024, *CENTERED, logits=False, room=3, licence=APACHE),
    "isnet-anime": Network(1024, IMAGENET[0], CENTERED[1], logits=False, room=3, licence=APACHE),
    "birefnet-general": _BIREFNET,
    "birefnet-general-lite": _BIREFNET._replace(room=5),
    "birefnet-general-fp16": _BIREFNET,
    "birefnet-portrait": _BIREFNET,
    "birefnet-dis": _BIREFNET,
    "birefnet-hrsod": _BIREFNET,
    "birefnet-cod": _BIREFNET,
    "birefnet-massive": _BIREFNET,
    "ben_custom": Network(1024, *CENTERED, logits=False, room=6, licence=APACHE),
    "bria-rmbg": Network(
        1024,
        *IMAGENET,
        logits=False,
        room=6,
        licence="BRIA RMBG-2.0 (CC BY-NC 4.0)",
        commercial="NOT for commercial use without a paid licence from BRIA",
    ),
}


@dataclass(frozen=True)
class Edges:
    """What to do with the network's soft mask. Raises InputError for a value out of range."""

    refine: bool = True  # False: the network's mask as it is, the photo's colours as they are
    threshold: float = 0.5  # 0.01..0.99: what the network believes less than this is background
    grow: float = 0.0  # pixels outwards, negative: inwards; -100..100
    feather: float = 0.0  # pixels over which the edge fades; 0..200
    straight_edges: int = 0  # pixels along an edge over which it is made straight where it nearly is; 0..200
    parts: str = outline.LARGEST  # or ALL: separate objects beside the largest one are kept too

    def __post_init__(self) -> None:
        require_number("threshold", self.threshold, 0.01, 0.99)
        require_number("grow", self.grow, -100, 100)
        require_number("feather", self.feather, 0, 200)
        require_number("straight_edges", self.straight_edges, 0, 200)
        if not isinstance(self.straight_edges, int):
            raise InputError("straight_edges", self.straight_edges, "a whole number of pixels")
        if self.parts not in outline.PARTS:
            raise InputError("parts", self.parts, "one of: " + ", ".join(outline.PARTS))


class Cutout(NamedTuple):
    foreground: torch.Tensor  # IMAGE [B, H, W, 3], straight colours: the product's own, continued beyond its edge
    alpha: torch.Tensor  # MASK [B, H, W], 1 = product
    notes: tuple[str, ...] = ()  # what was left out, what is uncertain: sentences for the user


def cut_out(
    images: torch.Tensor, find: Callable[[torch.Tensor], torch.Tensor], edges: Edges, between: Callable[[], None]
) -> Cutout:
    """Every picture of a batch cut out by itself.

    `find` is `saliency` with a session; `between` is called before each picture, so that a user can cancel. Raises
    InputError for what is no picture and where no product is found.
    """
    import torch

    pictures = require_colors("image", images)
    done: list[Cutout] = []
    for index, picture in enumerate(pictures):
        between()
        levels = torch.from_numpy(to_levels(picture[None])[0])
        mask = solid.looked_at(find, levels) if edges.refine else find(levels)
        if edges.threshold != 0.5:
            mask = _around_half(mask, edges.threshold)
        matte = matting.refine(picture, levels, mask) if edges.refine else matting.unrefined(picture, mask)
        edge, others = outline.largest(matte.alpha) if edges.parts == outline.LARGEST else (matte.alpha, 0)
        edge = outline.without_specks(edge)
        unsure = solid.unsure_share(outline.smaller(edge, max(mask.shape)))
        if edges.straight_edges:
            edge = outline.straightened(edge, edges.straight_edges)
        if edges.grow:
            edge = outline.grown(edge, edges.grow)
        if edges.feather:
            edge = outline.feathered(edge, edges.feather)
        if not edge.numpy().any():
            raise InputError("image", f"picture {index + 1} of {len(pictures)}", "edges that leave some of the product")
        which = f"picture {index + 1}: " if len(pictures) > 1 else ""
        done.append(Cutout(matte.foreground[None], edge[None], tuple(which + note for note in _notes(others, unsure))))
    if len(done) == 1:  # no copy of a large picture
        return done[0]
    notes = tuple(note for one in done for note in one.notes)
    return Cutout(torch.cat([one.foreground for one in done]), torch.cat([one.alpha for one in done]), notes)


def _notes(others: int, unsure: float) -> list[str]:
    """Sentences on objects that were left out and on the share of the product that is uncertain."""
    notes = []
    if others:
        what = "1 object beside the largest was" if others == 1 else f"{others} objects beside the largest were"
        notes.append(f"{what} left out; parts = {outline.ALL} keeps them")
    if unsure >= TELL_UNSURE:
        notes.append(f"{unsure:.0%} of the product is uncertain: crop closer, or try isnet-general-use")
    return notes


def _around_half(mask: torch.Tensor, threshold: float) -> torch.Tensor:
    """`mask` bent so that `threshold` comes to lie at one half; 0 and 1 stay."""
    import math

    return mask ** (math.log(0.5) / math.log(threshold))


def saliency(session: Any, network: Network, picture: torch.Tensor) -> torch.Tensor:
    """How much of a product every spot of `picture` uint8 [H, W, 3] is: float32 [side, side] in 0..1.

    The same numbers as rembg's session for the same network and a picture of `side` pixels, before it rounds them to 256
    levels; a larger picture is made smaller by another filter, see `_as_seen`. Raises InputError where the network sees
    nothing that stands out: rembg would stretch its noise into a mask.
    """
    import numpy as np
    import torch

    first = session.get_inputs()[0]
    seen = _as_seen(network, picture)
    if "float16" in first.type:
        seen = seen.astype(np.float16)
    found = session.run([session.get_outputs()[0].name], {first.name: seen})[0].astype(np.float32)[0, 0]
    if network.logits:
        found = 1 / (1 + np.exp(-found))
    low, high = float(found.min()), float(found.max())
    if not high >= 0.5:
        raise InputError(
            "image",
            f"{picture.shape[1]} x {picture.shape[0]} pixels in which the network sees nothing that stands out",
            "a picture with a product in it; crop closer, or try another model",
        )
    return torch.from_numpy((found - low) / (high - low))


def _as_seen(network: Network, picture: torch.Tensor) -> np.ndarray:
    """Float32 [1, 3, side, side]: `picture` uint8 [H, W, 3] as the network was trained to see it."""
    import numpy as np
    import torch.nn.functional as F

    # rembg takes Pillow's Lanczos filter: ten times the time for a picture that differs by a fifth of a level.
    square = F.interpolate(picture.movedim(-1, 0)[None], size=(network.side,) * 2, mode="bicubic", antialias=True)
    levels = square[0].movedim(0, -1).numpy()
    # Every level's value once, in double precision as rembg computes it, instead of every pixel's.
    values = (np.arange(256.0)[:, None] / max(float(levels.max()), 1e-6) - network.mean) / network.deviation
    table = values.astype(np.float32)
    return np.stack([table[levels[..., channel], channel] for channel in range(3)])[None]


def open_session(path: Path, providers: list[Any]) -> Any:
    """An onnxruntime session over a file of this machine. Raises ModelFilesError for a file that is none."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Its threads would keep both cores busy for a while after each run, just when the edge is refined on them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's own errors share no other base
        raise ModelFilesError("model", path.name, f"an ONNX file that onnxruntime can read ({error})") from error


def on_checkerboard(cutout: Cutout) -> torch.Tensor:
    """IMAGE [B, H, W, 3]: the products before light grey squares."""
    import numpy as np
    import torch

    height, width = cutout.alpha.shape[1:]
    side = max(4, min(height, width) // 32)
    squares = np.arange(width) // side % 2
    boards: list[np.ndarray] = [np.repeat(np.where(squares ^ odd, 0.8, 1.0), 3) for odd in (0, 1)]
    preview = np.empty((len(cutout.alpha), height, width * 3), np.float32)
    for out, alpha, foreground in zip(preview, cutout.alpha.numpy(), cutout.foreground.numpy()):
        for top in range(0, height, side):  # a row of squares, which a cache holds
            part = slice(top, top + side)
            used = np.flatnonzero(alpha[part].any(0))
            out[part] = boards[top // side % 2]
            if len(used):
                left, right = int(used[0]), int(used[-1]) + 1
                share = np.repeat(alpha[part, left:right], 3, 1)
                over = out[part, left * 3 : right * 3]
                over *= 1 - share
                over += foreground[part, left:right].reshape(share.shape) * share
    return torch.from_numpy(preview.reshape(cutout.foreground.shape))
