"""Every node that takes a MODEL, CLIP, VAE, CONDITIONING or LATENT, on our sockets beside the same on stock ones.

`python tests/bench/sweep.py COMFYUI_FOLDER [NODE ...]` prints a table, which sweep_docs.py puts into docs/stock-nodes.md. Both sides have the same weights: the
transformer is flux-micro, text encoders and VAE are random ones of ComfyUI's own shapes. What a node changes is seen in what is
drawn, encoded or decoded behind it. No node may succeed on ours and change nothing where it changes something on stock.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "host"), str(ROOT / "tests" / "studio" / "opening")]
ASKED = sys.argv[2:]

from comfy_process import BASE  # first: it makes this process a ComfyUI
import comfy.hooks
import comfy.samplers
import comfy.sd
import comfy.text_encoders.flux
import comfy.utils
import comfyui_version
import folder_paths
import lora_files
import nodes
import torch
import writers
from comfy_extras import nodes_custom_sampler as custom
from comfy_extras.nodes_cond import T5TokenizerOptions
from original_layout import to_original
from safetensors.torch import load_file
from storefront.host import opening
from storefront.host.vae_socket import make_vae
from storefront.studio.errors import InputError
from sweep_settings import LEFT_OUT, OTHERWISE, SETTINGS, SLIDER

SOCKETS = ("MODEL", "CLIP", "VAE", "CONDITIONING", "LATENT")
EQUAL, REFUSED, NEITHER, SAME_ERROR = "equal", "refused by name", "no effect on stock either", "fails on stock too"
DIFFERENT, ANOTHER, LEFT = "DIFFERENT", "works, otherwise", "not run"
ORDER = [DIFFERENT, EQUAL, ANOTHER, REFUSED, NEITHER, SAME_ERROR, LEFT]
TOLERANCE, NOTHING = 0.02, 1e-5  # of the effect; of a picture's spread
STEPS, CFG = 2, 2.0


class Side(NamedTuple):
    """The sockets of one make. `other` are second ones, for merges."""

    model: Any
    other: Any
    clip: Any
    other_clip: Any
    vae: Any
    text: list
    blank: list
    other_text: list


class Row(NamedTuple):
    node: str
    verdict: str
    detail: str = ""


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


LATENTS = [{"samples": random(1, 16, 8, 8, seed=seed)} for seed in (1, 2)]
IMAGE = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(3))
MASK = torch.zeros(1, 64, 64)
MASK[:, :, :32] = 1


# --- the two makes ------------------------------------------------------------------------------------------------------


def write_files() -> None:
    """Both transformers and encoders as files, in the names that stock loaders know, and a LoRA."""
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    weights = load_file(next((ROOT / "models" / "flux-micro" / "transformer").glob("*.safetensors")))
    weights = {name: weight.float() for name, weight in weights.items()}
    moved = {name: w + 0.05 * w.std().nan_to_num(0) * random(*w.shape, seed=9) for name, w in weights.items()}
    for name, state in (("micro", weights), ("micro-b", moved)):
        writers.write(BASE / "models" / "diffusion_models" / f"{name}.safetensors", to_original(state))
    shapes = {name.removesuffix(".weight"): tuple(w.shape) for name, w in weights.items() if w.ndim == 2}
    lora = lora_files.kohya(lora_files.random_lora(shapes, size=0.1))
    writers.write(BASE / "models" / "loras" / "micro.safetensors", {k: w.contiguous() for k, w in lora.items()})
    for seed in (0, 1):
        torch.manual_seed(seed)
        clip = CLIPTextModel(
            CLIPTextConfig(hidden_size=128, intermediate_size=256, num_attention_heads=2, num_hidden_layers=2)
        )
        t5 = T5EncoderModel(T5Config(**T5, vocab_size=32128, feed_forward_proj="gated-gelu", is_encoder_decoder=False))
        named = {f"text_model.{name.removeprefix('text_model.')}": w for name, w in clip.state_dict().items()}
        state = {name: w for name, w in t5.state_dict().items() if name != "encoder.embed_tokens.weight"}
        writers.write(BASE / "models" / "text_encoders" / f"clip_{seed}.safetensors", named)
        writers.write(BASE / "models" / "text_encoders" / f"t5_{seed}.safetensors", state)


T5 = {"d_model": 128, "num_layers": 2, "d_ff": 256, "num_heads": 2, "d_kv": 64}
CLIP = {"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 2, "num_hidden_layers": 2, "num_layers": 2}


def stock_clip(seed: int) -> Any:
    flux = comfy.text_encoders.flux
    target = type("Target", (), {"params": {}, "clip": flux.flux_clip(), "tokenizer": flux.FluxTokenizer})
    options = {"clip_l_model_config": CLIP, "t5xxl_model_config": T5, "dtype": torch.float32}
    clip = comfy.sd.CLIP(target, model_options=options)
    for name in ("clip", "t5"):
        clip.cond_stage_model.load_sd(load_file(BASE / "models" / "text_encoders" / f"{name}_{seed}.safetensors"))
    # Ours reads 512 tokens, as diffusers does; padding counts in T5.
    return T5TokenizerOptions.execute(clip, 0, 512).result[0]


def both_vaes() -> tuple[Any, Any]:
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    ours = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 32, 64, 64),
        layers_per_block=1,
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
    ).eval()
    shape = {"double_z": True, "z_channels": 16, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 32}
    shape |= {"ch_mult": [1, 1, 2, 2], "num_res_blocks": 1, "attn_resolutions": [], "dropout": 0.0}
    stock = comfy.sd.VAE(
        sd=ours.state_dict(), config={"params": {"ddconfig": shape, "embed_dim": 16}}, dtype=torch.float32
    )
    stock.latent_channels = 16
    return make_vae(ours, torch.float32), stock


def both() -> tuple[Side, Side]:
    write_files()
    ours, stock = [], []
    for seed, name in enumerate(("micro", "micro-b")):
        texts = (f"text_encoders/clip_{seed}.safetensors", f"text_encoders/t5_{seed}.safetensors")
        opened = opening.load(f"diffusion_models/{name}.safetensors", *texts, "none", "fp32")
        ours.append((opened.model, opened.clip))
        stock.append((nodes.UNETLoader().load_unet(f"{name}.safetensors", "default")[0], stock_clip(seed)))
    (first, _), vaes = stock, both_vaes()
    texts = [
        encoded(first[1], words) for words in ("a red mug on marble", "", "a blue vase")
    ]  # the same on both sides: encoders are compared apart
    sides = []
    for ((model, clip), (other, other_clip)), vae in zip((ours, stock), vaes, strict=True):
        sides.append(Side(model, other, clip, other_clip, vae, *texts))
    return sides[0], sides[1]


def encoded(clip: Any, text: str = "a red mug on marble") -> list:
    """CONDITIONING of a text."""
    return nodes.CLIPTextEncode().encode(clip, text)[0]


# --- what a node is given ----------------------------------------------------------------------------------------------


def declared(node: type) -> dict[str, tuple[str, dict, bool]]:
    """Type, options and whether it is required, of each input."""
    found = {}
    for part, entries in node.INPUT_TYPES().items():
        for name, entry in entries.items() if part in ("required", "optional") else ():
            kind, options = entry[0], entry[1] if len(entry) > 1 else {}
            if not isinstance(kind, str):
                kind, options = "COMBO", {"options": list(kind), **options}
            found[name] = (str(getattr(kind, "value", kind)), options or {}, part == "required")
    return found


def sockets(side: Side) -> dict[str, Any]:
    """One value of each type that can be had without a file."""
    model_hook = comfy.hooks.create_hook_lora(load_file(BASE / "models" / "loras" / "micro.safetensors"), 0.7, 0.7)
    return {
        "MODEL": [side.model, side.other],
        "CLIP": [side.clip, side.other_clip],
        "VAE": [side.vae],
        "CONDITIONING": [side.text, side.blank, side.other_text],
        "LATENT": [{"samples": latent["samples"].clone()} for latent in LATENTS],  # some nodes write into theirs
        "IMAGE": [IMAGE],
        "MASK": [MASK],
        "SIGMAS": [custom.BasicScheduler.execute(side.model, "simple", STEPS, 1.0).result[0]],
        "SAMPLER": [comfy.samplers.ksampler("euler")],
        "NOISE": [custom.RandomNoise.execute(7).result[0]],
        "GUIDER": [custom.BasicGuider.execute(side.model, side.text).result[0]],
        "HOOKS": [model_hook],
        "TIMESTEPS_RANGE": [(0.3, 1.0)],
        "LATENT_OPERATION": [lambda latent, **_: latent * 1.3],
    }


class Needs(Exception):
    """A socket that only a file of another kind of model gives."""


def widget(node: str, name: str, kind: str, options: dict) -> Any:
    if name in ("width", "height"):
        return 64
    if name in ("length", "frames_number"):
        return options.get("min", 1)
    if kind in ("FLOAT", "INT"):
        return SLIDER if node.startswith(("ModelMerge", "CLIPMerge")) else options.get("default", options.get("min", 1))
    if kind == "STRING":
        return options.get("default") or "a blue vase"
    if kind == "BOOLEAN":
        return options.get("default", False)
    choices = options.get("options") or [None]
    return options.get("default", choices[0])


def inputs_of(node: str, side: Side) -> dict[str, Any]:
    """Raises Needs."""
    have, taken, values = sockets(side), dict.fromkeys(SOCKETS, 0), {}
    for name, (kind, options, required) in declared(nodes.NODE_CLASS_MAPPINGS[node]).items():
        if name in SETTINGS.get(node, {}):
            values[name] = SETTINGS[node][name]
        elif kind in have:
            index = taken.get(kind, 0)
            if kind == "CONDITIONING":
                index = 2 if "empty" in name else 1 if "neg" in name else index
            values[name] = have[kind][min(index, len(have[kind]) - 1)]
            taken[kind] = index + 1
        elif kind in ("FLOAT", "INT", "STRING", "BOOLEAN", "COMBO", "FLOAT,INT"):
            values[name] = widget(node, name, "FLOAT" if "," in kind else kind, options)
        elif required:
            raise Needs(kind.removeprefix("COMFY_").lower() if kind.startswith("COMFY_") else kind)
    return values


def applied(node: str, side: Side) -> tuple[list[str], list]:
    """Types of the outputs and what they hold. Raises what the node raises."""
    kind = nodes.NODE_CLASS_MAPPINGS[node]
    values = inputs_of(node, side)
    if getattr(kind, "INPUT_IS_LIST", False):
        values = {name: [value] for name, value in values.items()}
    torch.manual_seed(0)
    before = set(Path(folder_paths.get_output_directory()).rglob("*"))
    if hasattr(kind, "PREPARE_CLASS_CLONE"):
        kind.VALIDATE_CLASS()
        result = kind.PREPARE_CLASS_CLONE(None).execute(**values)
    else:
        result = getattr(kind(), kind.FUNCTION)(**values)
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    result = getattr(result, "result", result)
    if isinstance(result, dict):
        result = result.get("result", ())
    made = [path for path in Path(folder_paths.get_output_directory()).rglob("*") if path not in before]
    types = [str(getattr(one, "value", one)) if isinstance(one, str) else "COMBO" for one in kind.RETURN_TYPES]
    return [*types, *["FILE"] * bool(made)], [*(result or ()), *([made] if made else [])]


# --- what comes of it --------------------------------------------------------------------------------------------------


def drawn(model: Any, positive: list, negative: list, latent: dict | None = None, denoise: float = 1.0) -> torch.Tensor:
    torch.manual_seed(0)
    start = {"samples": torch.zeros(1, 16, 8, 8)} if latent is None else latent
    sampled = nodes.common_ksampler(model, 7, STEPS, CFG, "euler", "simple", positive, negative, start, denoise=denoise)
    return sampled[0]["samples"]


def guided(side: Side, **changes: Any) -> torch.Tensor:
    parts = {name.lower(): sockets(side)[name][0] for name in ("NOISE", "GUIDER", "SAMPLER", "SIGMAS")} | changes
    torch.manual_seed(0)
    arguments = (parts["noise"], parts["guider"], parts["sampler"], parts["sigmas"], LATENTS[0])
    return custom.SamplerCustomAdvanced.execute(*arguments).result[0]["samples"]


def seen(kind: str, value: Any, index: int, side: Side) -> list[torch.Tensor]:
    """What an output comes to, as numbers. `value` None: without the node."""
    if isinstance(value, list) and kind != "CONDITIONING":
        return [number for one in value for number in seen(kind, one, index, side)]
    if kind == "MODEL":
        return [drawn(value or side.model, side.text, side.blank)]
    if kind == "CONDITIONING":
        pair = [side.text, side.blank] if value is None else [value, side.blank] if index == 0 else [side.text, value]
        return [drawn(side.model, *pair)]
    if kind == "CLIP":
        ((sequence, options),) = encoded(value or side.clip)
        return [sequence, options["pooled_output"]]
    if kind == "VAE":
        return [nodes.VAEDecode().decode(value or side.vae, LATENTS[0])[0]]
    if kind == "LATENT":
        latent = LATENTS[0] if value is None else value
        if latent["samples"].is_nested:  # sound beside pictures
            return [part.float() for part in latent["samples"].unbind()]
        flat = latent["samples"].ndim == 4 and latent["samples"].shape[1] == 16
        return [latent["samples"], *([drawn(side.model, side.text, side.blank, latent, 0.7)] if flat else [])]
    if kind in ("GUIDER", "SAMPLER", "NOISE", "SIGMAS"):
        return [guided(side, **({} if value is None else {kind.lower(): value}))]
    return numbers(value)


def unchanged(kind: str, index: int, side: Side) -> list[torch.Tensor]:
    key = (kind, index, id(side))
    if key not in _UNCHANGED:
        _UNCHANGED[key] = seen(kind, None, index, side)
    return _UNCHANGED[key]


_UNCHANGED: dict[tuple[str, int, int], list[torch.Tensor]] = {}


def numbers(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value.float()]
    if isinstance(value, int | float):
        return [torch.tensor([float(value)])]
    if isinstance(value, dict):
        return [number for one in value.values() for number in numbers(one)]
    return []


def distance(first: Iterable[torch.Tensor], second: Iterable[torch.Tensor]) -> float:
    """The largest difference against the spread of the second; infinite where the shapes differ."""
    first, second = list(first), list(second)
    if [one.shape for one in first] != [two.shape for two in second]:
        return float("inf")
    pairs = zip(first, second, strict=True)
    return max((float((a - b).abs().max() / (b.std().nan_to_num(0) + 1e-6)) for a, b in pairs if a.numel()), default=0)


class Outcome(NamedTuple):
    after: list[torch.Tensor]
    before: list[torch.Tensor]
    error: Exception | None = None
    written: dict[str, torch.Tensor] = {}


def written(paths: list[Path]) -> dict[str, torch.Tensor]:
    """What the files of a save node hold, in the newest spelling of norms. A stock CLIP also saves what FLUX.1 never uses."""
    found: dict[str, torch.Tensor] = {}
    for path in paths:
        found |= load_file(path) if path.suffix in (".safetensors", ".latent") else {}
    unused = ("logit_scale", "text_projection.weight", "quant_conv.weight", "quant_conv.bias")
    return {
        name.replace("_norm.scale", "_norm.weight"): weight.float()
        for name, weight in found.items()
        if not name.endswith(unused)
    }


def outcome(node: str, side: Side) -> Outcome:
    try:
        kinds, values = applied(node, side)
        after, before, index, files = [], [], {}, {}
        for kind, value in zip(kinds, values, strict=False):
            if kind == "FILE":
                files = written(value)
                continue
            place = index.get(kind, 0)
            index[kind] = place + 1
            after += seen(kind, value, place, side)
            if kind in (*SOCKETS, "GUIDER", "SAMPLER", "NOISE", "SIGMAS"):
                before += unchanged(kind, place, side)
        return Outcome(after, before, None, files)
    except Needs:
        raise
    except Exception as error:
        return Outcome([], [], error)


def short(error: Exception) -> str:
    text = " ".join(str(error).replace("|", "/").split()) or type(error).__name__
    return text if len(text) <= 110 else text[:107] + "..."


def row(node: str, ours: Side, stock: Side) -> Row:
    if node in LEFT_OUT:
        return Row(node, LEFT, LEFT_OUT[node])
    try:
        mine, theirs = outcome(node, ours), outcome(node, stock)
    except Needs as needs:
        return Row(node, LEFT, f"needs {needs}")
    if mine.error or theirs.error:
        return _of_errors(node, mine.error, theirs.error)
    if node in OTHERWISE:
        return Row(node, ANOTHER, OTHERWISE[node])
    if lacking := sorted(set(theirs.written) - set(mine.written)):
        return Row(node, DIFFERENT, f"writes no {lacking[0]}")
    names = sorted(theirs.written)
    mine.after.extend(mine.written[name] for name in names)
    theirs.after.extend(theirs.written[name] for name in names)
    apart, effect = distance(mine.after, theirs.after), distance(theirs.after, theirs.before)
    own = distance(mine.after, mine.before)
    if apart <= max(TOLERANCE * min(effect, 1), 1e-3):
        return Row(node, EQUAL if effect > NOTHING else NEITHER)
    figures = f"changes {own:.2g} on ours, {effect:.2g} on stock, {apart:.2g} apart"
    return Row(node, DIFFERENT, figures)


def _of_errors(node: str, mine: Exception | None, theirs: Exception | None) -> Row:
    if mine is None:
        return Row(node, EQUAL, f"works on ours; stock: {short(theirs)}")  # type: ignore[arg-type]
    if theirs is None:
        return Row(node, REFUSED if isinstance(mine, InputError) else DIFFERENT, short(mine))
    return Row(node, SAME_ERROR, short(theirs))


def main() -> None:
    logging.disable(logging.WARNING)
    comfy.utils.PROGRESS_BAR_ENABLED = False
    torch.set_num_threads(1)
    asyncio.run(nodes.init_builtin_extra_nodes())
    ours, stock = both()
    every = [
        name
        for name, node in sorted(nodes.NODE_CLASS_MAPPINGS.items())
        if {kind for kind, _, _ in declared(node).values()} & set(SOCKETS) and not name.startswith("Storefront")
    ]
    rows = []
    with torch.inference_mode():
        for name in ASKED or every:
            rows.append(row(name, ours, stock))
            print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    rows.sort(key=lambda one: (ORDER.index(one.verdict), one.node))
    print("\n".join(f"| {' | '.join(one)} |" for one in rows))
    print(", ".join(f"{sum(one.verdict == verdict for one in rows)} {verdict}" for verdict in ORDER))
    print("VERSION " + comfyui_version.__version__)
    print("ROWS " + json.dumps(rows))


if __name__ == "__main__":
    main()
