"""The weights of a file, put into a module of diffusers or transformers that is made for them."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ..errors import ModelFilesError
from ..kinds import table
from ..kinds.names import Rows
from ..kinds.part import File, Part
from ..weights.layers import Layer
from .parts import require_known_format
from .releases import class_named

if TYPE_CHECKING:
    import torch

    from ..weights.stored import Stored

log = logging.getLogger(__name__)

# What comes before a layer in the modules of some releases of transformers and not in files, or in others' files.
_WRAPPERS = re.compile(r"^(?:text_model|model)\.")


def load_part(part: Part, dtype: torch.dtype, keep: bool) -> torch.nn.Module:
    """The module in eval mode, without gradients, its weights in `dtype`. `keep` and errors: as in fill."""
    require_known_format(part.file)
    return fill(_build(part), part.file, part.sources, dtype, keep)


def _build(part: Part) -> torch.nn.Module:
    """The module with its weights on "meta"; buffers are real."""
    from accelerate import init_empty_weights

    kind, name = table.kind_of(part.role), part.file.path.name
    try:
        cls: Any = class_named(kind.library, kind.class_of(part))
    except AttributeError as error:
        wanted = f"a newer {kind.library} than {version(kind.library)}: it has no {kind.class_of(part)}"
        raise ModelFilesError("model", name, wanted) from error
    try:
        config = kind.config(part)
        with init_empty_weights():
            return cls(cls.config_class(**config)) if kind.library == "transformers" else cls(**config)
    except ModelFilesError:
        raise
    except Exception as error:  # configs are checked with exceptions that are none of Python's own
        raise ModelFilesError("model", name, f"the shapes of {kind.label}; {error}") from error


def fill(
    module: torch.nn.Module, file: File, sources: Mapping[str, Rows], dtype: torch.dtype, keep: bool
) -> torch.nn.Module:
    """The weights of a file put into a module that has none: eval mode, no gradients, weights in `dtype`.

    keep: a linear layer's weight in a stored format (studio/weights) stays as it is, as int8 bytes, beside an attribute
    `stored` that expands them; such a layer computes nothing until a caller gives it a class that does. Otherwise it is
    expanded here. Raises ModelFilesError where weights are missing, have other shapes, or a format that cannot be read.
    """
    if hasattr(module, "tie_weights"):
        module.tie_weights()
    places = _places(module)
    wanted = _wanted(places, sources, file.path.name)
    log.debug("Storefront: %s: %d weights for %s.", file.path.name, len(wanted), type(module).__name__)
    targets: dict[str, list[str]] = {}  # by the tensor of the file that they are cut from
    for target, rows in wanted.items():
        targets.setdefault(rows.name, []).append(target)
    layers = _layers(file, targets, places)
    reordered = {rows.name for rows in wanted.values() if rows.heads}
    as_is = {name for name in targets.keys() - reordered if _stays(file, layers, name, dtype, keep)}
    precise = _precise(module, dtype)
    filled: dict[int, Any] = {}
    # The pages of what is converted are let go as it is read.
    for names, release in ((as_is, False), (targets.keys() - as_is, True)):
        for name, tensors in file.read(sorted(names), release):
            tensor, stored = _packed(layers.get(name), tensors)
            for target in targets[name]:
                place = places[target]
                own = _own_dtype(target, dtype, precise)
                value = _value(place, wanted[target], tensor, stored, own, keep)
                _require_shape(place, value, name, file)
                is_view = release and any(_same_memory(value, other) for other in tensors)
                filled[id(place.tensor)] = place.put(value.clone() if is_view else value)
    for place in places.values():  # weights that are one and the same under two names
        if place.module._parameters.get(place.leaf) is place.tensor:
            place.module._parameters[place.leaf] = filled[id(place.tensor)]
    _cast_buffers(module, dtype)
    return module.train(False).requires_grad_(False)


@dataclass(frozen=True)
class _Place:
    """Of a weight, in the module that owns it."""

    module: Any
    leaf: str
    tensor: Any

    @property
    def is_linear_weight(self) -> bool:
        import torch

        return type(self.module) is torch.nn.Linear and self.leaf == "weight"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the numbers."""
        return tuple(self.tensor.shape)

    def put(self, value: torch.Tensor) -> Any:
        import torch

        if self.leaf in self.module._buffers:
            self.module._buffers[self.leaf] = value
            return value
        parameter = torch.nn.Parameter(value, requires_grad=False)
        self.module._parameters[self.leaf] = parameter
        return parameter


def _places(module: torch.nn.Module) -> dict[str, _Place]:
    """Name -> place of every weight, and of the buffers that are weights (running statistics)."""
    places = {}
    for prefix, owner in module.named_modules():
        for key, tensor in owner._parameters.items():
            if tensor is not None:
                places[f"{prefix}.{key}" if prefix else key] = _Place(owner, key, tensor)
        for key, tensor in owner._buffers.items():
            if key.startswith("running_"):
                places[f"{prefix}.{key}"] = _Place(owner, key, tensor)
    return places


def _wanted(places: Mapping[str, _Place], sources: Mapping[str, Rows], name: str) -> dict[str, Rows]:
    """Name of a weight -> where it comes from. One that is the same as another under two names is read once."""
    wanted: dict[str, Rows] = {}
    read: set[int] = set()
    for target, place in places.items():
        key = next((key for key in (target, _WRAPPERS.sub("", target)) if key in sources), None)
        if key is not None:
            wanted[target] = sources[key]
            read.add(id(place.tensor))
    missing = sorted(
        target for target, place in places.items() if target not in wanted and id(place.tensor) not in read
    )
    if missing:
        raise ModelFilesError("model", name, f"every weight in it; {len(missing)} are missing, such as {missing[0]}")
    return wanted


def _layers(file: File, targets: Mapping[str, list[str]], places: Mapping[str, _Place]) -> dict[str, Layer]:
    """The stored formats among the tensors that are read. Raises ModelFilesError for one that cannot be read."""
    layers = {name: file.layers[name] for name in targets.keys() & file.layers.keys()}
    for name, unshaped in layers.items():
        if unshaped.of_shape is not None:
            layers[name] = unshaped.of_shape(places[targets[name][0]].shape)
    _require_readable(file, layers.values())
    return layers


def _require_readable(file: File, layers: Iterable[Layer]) -> None:
    from ..weights import formats

    if kinds := sorted({layer.kind for layer in layers if layer.pack is None}):
        raise ModelFilesError(
            "model",
            file.path.name,
            f"bf16 or fp16 weights, or one of the formats {', '.join(formats.names())}; it has {', '.join(kinds)}."
            " ComfyUI's own loader may open it: our sampler takes its MODEL",
        )


def _stays(file: File, layers: Mapping[str, Layer], name: str, dtype: torch.dtype, keep: bool) -> bool:
    """Whether a tensor is used as the file has it."""
    import torch

    if name in layers:
        return keep and layers[name].as_is
    return file.entries[name].kind == {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}.get(dtype)


def _precise(module: torch.nn.Module, dtype: torch.dtype) -> set[str]:
    """Parts of the names of weights that stay float32."""
    import diffusers
    import torch

    fragile = getattr(module, "_keep_in_fp32_modules", None) or ()
    strict = getattr(module, "_keep_in_fp32_modules_strict", None) or ()
    # transformers means in fp16, diffusers in bf16 too.
    return {*strict, *(fragile if dtype == torch.float16 or isinstance(module, diffusers.ModelMixin) else ())}


def _own_dtype(target: str, dtype: torch.dtype, precise: Collection[str]) -> torch.dtype:
    import torch

    return torch.float32 if any(part in target.split(".") for part in precise) else dtype


def _packed(layer: Layer | None, tensors: list[torch.Tensor]) -> tuple[torch.Tensor, Stored | None]:
    """Bytes and their description, or plain numbers and None."""
    if layer is None:
        return tensors[0], None
    assert layer.pack is not None
    return layer.pack(tensors)


def _value(
    place: _Place, rows: Rows, tensor: torch.Tensor, stored: Stored | None, own: torch.dtype, keep: bool
) -> torch.Tensor:
    """What of a tensor belongs to a place: numbers in `own`, or bytes, whose description the place's module then has."""
    import torch

    some = _cut(tensor, rows)
    form = stored.rows(rows.start, rows.stop) if stored is not None else None
    if form is not None and keep and place.is_linear_weight and not rows.swap:
        place.module.stored = form
        place.module.compute_dtype = own  # diffusers' name: its embedders ask for it
        return some.contiguous()
    value = some if form is None else form.expand(some.contiguous(), own)
    if rows.swap:
        value = torch.cat(value.chunk(2)[::-1])
    if value.numel() == place.tensor.numel():  # attention as a 1 x 1 convolution; a GGUF's vectors
        value = value.reshape(place.tensor.shape)
    return value.to(own)


def _cut(tensor: torch.Tensor, source: Rows) -> torch.Tensor:
    """The rows that belong to a weight, in the order of the module's."""
    rows = tensor[source.start : source.stop] if source.stop is not None and tensor.ndim else tensor
    if source.heads:
        return rows.reshape(source.heads, -1, 2, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)
    return rows


def _require_shape(place: _Place, value: torch.Tensor, name: str, file: File) -> None:
    form = getattr(place.module, "stored", None) if place.is_linear_weight else None
    shape = tuple(value.shape) if form is None else (len(value), form.columns(value))
    if shape != place.shape:
        wanted = f"{name} of shape {list(place.shape)}; the file has {list(shape)}"
        raise ModelFilesError("model", file.path.name, wanted)


def _same_memory(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _cast_buffers(module: torch.nn.Module, dtype: torch.dtype) -> None:
    for owner in module.modules():
        for key, buffer in owner._buffers.items():
            persistent = key not in owner._non_persistent_buffers_set
            if buffer is not None and persistent and buffer.is_floating_point():
                owner._buffers[key] = buffer.to(dtype)
