"""What a request to the orchestrator asks for, read and checked before anything is drawn."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from ...studio.api.draw import MOST_PICTURES
from ...studio.canvas import MULTIPLE, Size, size_like
from ...studio.errors import Bare, InputError, require_number, require_one_of
from ...studio.sampling.encode import MOST_PROMPTS, require_prompt
from ...studio.sampling.unfinished import Unfinished
from .. import pictures, stages

MOST_PIXELS = 32_000_000  # of a picture that is given; more where a drawn one may have more


class Limits(NamedTuple):
    """The largest orders that are taken."""

    side: int  # pixels of a picture's width, and of its height
    own: int  # those of the square that is drawn where no size is asked for
    tokens: int  # of a text

    @property
    def pixels(self) -> int:
        """Of a picture that is given."""
        return max(MOST_PIXELS, self.side**2)


class Orders:
    """What a request asks for, read and checked. The inputs are those of stages.ORDERS."""

    def __init__(self, values: Mapping[str, Any], most: Limits):
        self._given, self._most = values, most
        self.prompts = self._texts("prompt")
        if not 1 <= len(self.prompts) <= MOST_PROMPTS:
            raise InputError("prompt", f"{len(self.prompts)} texts", f"1 to {MOST_PROMPTS} texts")
        self.output = self._text("output") or "tensor"
        require_one_of("output", self.output, stages.OUTPUTS)
        self.tokens = self._whole("max_sequence_length", 0, 0, most.tokens)
        if self.output == stages.TOKENS:
            for prompt in self.prompts:
                require_prompt("prompt", prompt)
        elif not all(prompt.strip() for prompt in self.prompts):
            raise InputError("prompt", "", "words that say what to draw")
        self.progress = bool(self._number("progress", 0))
        self.seed = int(self._number("seed", 0))
        self.each = self._whole("num_images_per_prompt", 1, 1, MOST_PICTURES)
        if self.each * len(self.prompts) > MOST_PICTURES:
            wanted = f"at most {MOST_PICTURES} pictures of a request; ask for the others in another"
            raise InputError("num_images_per_prompt", f"{self.each} for each of {len(self.prompts)} prompts", wanted)
        self.image, self.mask = self._picture("image"), self._picture("mask")
        if self.image is None and self.mask is not None:
            raise InputError(
                "mask", "given without a picture", cure="Give `image` too: `mask` says what of it is repainted."
            )
        if self.image is not None and len(self.image) * len(self.prompts) > MOST_PICTURES:
            wanted = f"at most {MOST_PICTURES} pictures of a request; ask for the others in another"
            raise InputError("image", f"{len(self.image)} pictures for each of {len(self.prompts)} prompts", wanted)
        if self.image is not None and self.each != 1:
            raise InputError("num_images_per_prompt", self.each, "1 where a picture is given")

    @property
    def drawn_apart(self) -> int:
        """How many times the steps are gone through: the pictures of one prompt without `image` are drawn together."""
        return len(self.prompts) * (1 if self.image is None else len(self.image))

    def _texts(self, name: str) -> list[str]:
        try:
            return [value.decode("utf-8") for value in self._given.get(name, ())]
        except UnicodeDecodeError as error:
            raise InputError(name, Bare("not UTF-8"), "text in UTF-8") from error

    def _text(self, name: str) -> str:
        return next(iter(self._texts(name)), "")

    def _number(self, name: str, usual: Any) -> Any:
        values = self._given.get(name, ())
        return values[0].item() if len(values) else usual

    def _whole(self, name: str, usual: int, low: int, high: int) -> int:
        value = self._number(name, usual)
        require_number(name, value, low, high)
        return value

    def _side(self, name: str) -> int | None:
        """Pixels of the picture. An execution of a stage cannot be ended, so none may take for ever."""
        side = self._number(name, None)
        if side is not None and (not MULTIPLE <= side <= self._most.side or side % MULTIPLE):
            raise InputError(name, side, f"a multiple of {MULTIPLE} from {MULTIPLE} to {self._most.side}")
        return side

    def _picture(self, name: str) -> torch.Tensor | None:
        text = self._text(name)
        return pictures.from_text(name, text, self._most.pixels) if text else None

    def _require_own_size(self) -> None:
        """Raise InputError where the size that is drawn without `width` and `height` is beyond the limits."""
        given = Size(1, 1) if self.image is None else Size(self.image.shape[2], self.image.shape[1])
        drawn = size_like(given, self._most.own)
        if max(drawn) > self._most.side:
            name, value = ("width", None) if self.image is None else ("image", Bare("{} x {} pixels".format(*given)))
            wanted = f"`width` and `height` of at most {self._most.side}: it would be drawn at {drawn[0]} x {drawn[1]}"
            raise InputError(name, value, wanted)

    def options(self) -> dict[str, Any]:
        """Of `text_to_images`, but for the prompts."""
        chosen = {
            "width": self._side("width"),
            "height": self._side("height"),
            "steps": self._number("steps", None),
            "guidance": self._number("guidance", None),
            "prompt_2": self._text("prompt_2"),
            "max_tokens": self.tokens,
            "time_limit": self._number("time_limit", 0.0),
            "resume": self._resumed(),
        }
        if (chosen["width"] is None) != (chosen["height"] is None):
            missing = "width" if chosen["width"] is None else "height"
            raise InputError(missing, None, "width and height both, or neither for the model's own size")
        if chosen["width"] is None:
            self._require_own_size()
        if chosen["guidance"] is not None:
            # FP32 has made 3.5 of 3.5, but 0.30000001192092896 of 0.3.
            chosen["guidance"] = float(f"{chosen['guidance']:.7g}")
        return chosen

    def strength(self) -> float:
        """How much of `image` is drawn anew."""
        return float(f"{self._number('strength', 0.5):.7g}")

    def _resumed(self) -> Unfinished | None:
        text = self._text("resume")
        if not text:
            return None
        if len(self.prompts) > 1:
            raise InputError(
                "resume", f"with {len(self.prompts)} prompts", "one prompt, that of the unfinished picture"
            )
        if self.image is not None and len(self.image) > 1:
            raise InputError(
                "resume", f"with {len(self.image)} pictures", "one `image`, that of the unfinished picture"
            )
        try:
            return Unfinished.from_bytes(base64.b64decode(text, validate=True))
        except (binascii.Error, InputError) as error:
            raise InputError(
                "resume", Bare(f"a text of {len(text)} characters"), "the `unfinished` of an earlier answer"
            ) from error
