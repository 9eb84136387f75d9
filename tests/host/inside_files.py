"""Single files inside a ComfyUI process: `python tests/host/inside_files.py COMFYUI_FOLDER` prints JSON.

Run by test_files.py, on small random models of the published proportions (tests/studio/opening/writers.py).
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import comfy_process

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "studio" / "opening"))

import comfy.model_management as mm
import comfy.model_patcher
import lora_files
import torch
import writers
from safetensors.torch import save_file
from storefront.host import clip_vision, model_files, opening, prompt_encoding, references, sampling, vae_socket
from storefront.host import lora as loras
from storefront.host.stored_linear import StoredLinear
from storefront.studio.errors import InputError
from storefront.studio.sampling.references import OWN_SIZE

MODELS = comfy_process.BASE / "models"
SMALL = ("scaled fp8", "Q8_0", "nf4", "nvfp4")
HAS_GGUF = importlib.util.find_spec("gguf") is not None
NAMES = (
    "FLUX.1",
    "FLUX.2 klein",
    "Z-Image Turbo",
)  # the others' files are held to their folders in tests/studio/opening
CPU = torch.device("cpu")
PROMPT = "서울의 밤, a blue lamp"
SETTINGS = {"seed": 7, "steps": 2, "guidance": -1, "cfg": 0, "strength": 1.0, "time_limit": 0}


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.float() - b.float()).abs().max())


def draw(opened, conditioning) -> torch.Tensor:
    channels, cell = (128, 16) if opened.vae.latent_channels == 128 else (16, 8)
    latent = {"samples": torch.zeros(1, channels, 64 // cell, 96 // cell)}
    if beside(opened):
        shown = torch.ones(1, channels, 64 // cell, 96 // cell)
        conditioning = [conditioning[0], {**conditioning[1], "concat_latent_image": shown}]
    return sampling.sample(opened.model, [conditioning], [conditioning], latent, sampling.SamplerSettings(**SETTINGS))[
        0
    ]["samples"]


def beside(opened) -> bool:
    model = opened.model.model
    return model.diffusion_model.channels > model.facts.family.latent_channels


def encode(clip) -> list:
    return prompt_encoding.encode_prompts(clip, [(PROMPT, PROMPT)], 0)[0][0]


def namings(name: str) -> dict:
    """Every naming and format of a family's transformer against its diffusers folder."""
    folder = writers.build(name, MODELS / "diffusers" / name)
    whole = opening.load_model(name, "fp32")
    conditioning = encode(whole.clip)
    expected = draw(whole, conditioning)
    weights = writers.weights_of(folder, "transformer")
    original = writers.original(name, weights)
    files = {
        "diffusers": (weights, {}),
        "original": (original, {}),
        "fp8": (writers.fp8(original), {}),
        "scaled fp8": writers.scaled_fp8(original, "old"),
    }
    if name == "FLUX.2 klein":  # of one family: how a layer is written is no matter of its name
        files["nf4"] = (writers.bitsandbytes(original, "nf4"), {})
        files["nvfp4"] = (writers.nvfp4(original), {})
    for kind, (tensors, metadata) in files.items():
        writers.write(MODELS / "diffusion_models" / f"{name} {kind}.safetensors", tensors, metadata)
    if HAS_GGUF:
        writers.gguf(MODELS / "diffusion_models" / f"{name} Q8_0.gguf", original, "Q8_0")
    vae = writers.write(MODELS / "vae" / f"{name}.safetensors", writers.original_vae(writers.weights_of(folder, "vae")))
    out, models = {}, {}
    for file in sorted((MODELS / "diffusion_models").glob(f"{name} *")):
        choice = f"diffusion_models/{file.name}"
        kind = file.stem.removeprefix(f"{name} ")
        # auto on the CPU is fp32; what is stored small stays so
        opened = opening.load(choice, "none", "none", f"vae/{vae.name}", "auto")
        drawn = draw(opened, conditioning)
        dense = opening.load(choice, "none", "none", "none", "fp32")
        models[kind] = opened
        out[kind] = {
            "latents": difference(drawn, expected) / float(expected.std()),
            "kept against expanded": difference(drawn, draw(dense._replace(vae=opened.vae), conditioning)),
            "stored": sum(isinstance(m, StoredLinear) for m in opened.model.model.modules()),
            "picture": difference(
                vae_socket.decode(opened.vae, expected, "off")[0], vae_socket.decode(whole.vae, expected, "off")[0]
            ),
            "bytes": opened.model.model_size() / whole.model.model_size(),
            "references": opened.model.model.facts.edition.takes_references,
            "family": opened.model.model.facts.family.name,
            "steps": opened.model.model.facts.defaults.steps,
        }
    choice = f"diffusion_models/{name} original.safetensors"
    small = opening.load(choice, "none", "none", f"vae/{vae.name}", "fp8 storage")
    return {
        "files": out,
        "fp8 storage": difference(draw(small, conditioning), expected) / float(expected.std()),
        "half": {kind: half(opened, conditioning) for kind, opened in models.items() if kind in SMALL},
        "lora": {kind: lora(opened, conditioning) for kind, opened in models.items() if kind in SMALL},
    }


def of_parts(name: str, drawn) -> dict:
    """What `drawn` of a model comes to, plain and with a reference, for a transformer from a file and from a folder of
    components, against the whole folder."""
    folder = writers.build(name, MODELS / "diffusers" / name)
    weights = writers.original(name, writers.weights_of(folder, "transformer"))
    file = MODELS / "diffusion_models" / f"{name}.safetensors"
    writers.write(file, writers.prefixed(weights, "model.diffusion_model."))
    writers.write(MODELS / "vae" / file.name, writers.original_vae(writers.weights_of(folder, "vae")))
    whole = opening.load_model(name, "fp32")
    expected = drawn(whole, whole)
    out: dict = {"references matter": difference(*expected) / float(expected[0].std())}
    parts = {
        "file": (f"diffusion_models/{file.name}", f"diffusers/{name}", "auto", f"vae/{file.name}"),
        "folder": (f"diffusers/{name}", "auto", "auto", "auto"),
    }
    for kind, choice in parts.items():
        opened = opening.load(*choice, "fp32")
        off = [difference(a, b) / float(b.std()) for a, b in zip(drawn(opened, whole), expected, strict=True)]
        out[kind] = {"off": off, "steps": opened.model.model.facts.defaults.steps, "says": opened.notes[-1]}
        out[kind]["our reference"] = our_reference(opened)
    return out


def photo() -> torch.Tensor:
    return torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(1))


def our_reference(opened) -> str:
    """What is said where StorefrontReference cannot show a picture to these parts."""
    try:
        shown_by_us(opened, opened)
    except InputError as error:
        return str(error)
    return ""


def shown_by_us(opened, _) -> list[torch.Tensor]:
    plain = encode(opened.clip)
    (shown,) = references.add([plain], opened.vae, photo(), OWN_SIZE, opened.clip)
    return [draw(opened, plain), draw(opened, shown)]


def shown_by_stock(opened, whole) -> list[torch.Tensor]:
    """Z-Image Omni, whose parts do not see: stock TextEncodeZImageOmni shows it what the whole folder's SigLIP sees."""
    from comfy_extras.nodes_zimage import TextEncodeZImageOmni

    class Looks:
        """As stock CLIPVisionLoader's output."""

        def encode_image(self, image, crop=True):
            return clip_vision.vision_features(whole.clip, image)

    ((beside,),) = TextEncodeZImageOmni.execute(
        opened.clip, PROMPT, image_encoder=Looks(), vae=opened.vae, image1=photo(), auto_resize_images=False
    ).args
    return [draw(opened, encode(opened.clip)), draw(opened, beside)]


def quantised_folder() -> dict:
    """A diffusers folder quantised by SDNQ, bitsandbytes and optimum-quanto against one with the numbers that its weights stand for."""
    from safetensors.torch import load_file
    from storefront.studio.opening import models

    plain, folder, dense = (MODELS / "diffusers" / name for name in ("FLUX.1", "quantised", "dense"))
    kinds = {"transformer": "uint4", "text_encoder": "int8", "text_encoder_2": "int4"}
    writers.quantised_folder(plain, folder, kinds, shards=2)
    shutil.copytree(plain, dense)
    for component in kinds:
        (path,) = (dense / component).glob("*.safetensors")
        module = models.describe(models.ModelFiles.whole(folder)).component(component).load(torch.float32, False)
        weights = {name: tensor for name, tensor in module.state_dict().items() if name in load_file(path)}
        writers.write(path, weights, {"format": "pt"})
    small = opening.load_model("quantised", "auto")
    apart = opening.load("diffusers/quantised", "auto", "auto", "auto", "auto")
    expected = opening.load_model("dense", "fp32")
    conditioning = encode(expected.clip)
    drawn = draw(expected, conditioning)
    return {
        "sequence": difference(encode(small.clip)[0], conditioning[0]),
        "latents": difference(draw(small, conditioning), drawn),
        "components": difference(draw(apart, encode(apart.clip)), drawn),
        "stored": [
            sum(isinstance(m, StoredLinear) for m in model.modules())
            for model in (small.model.model, small.clip.cond_stage_model, apart.clip.cond_stage_model)
        ],
        "bytes": small.model.model_size() / expected.model.model_size(),
    }


def half(opened, conditioning) -> float:
    """How far a model with half of its weights resident draws from the whole one."""
    patcher = opened.model
    model = patcher.model
    sequence, options = conditioning
    shape = (1, 128, 4, 6) if model.facts.family.latent_channels == 128 else (1, 16, 8, 12)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    if beside(opened):
        x = torch.cat([x, torch.zeros(1, model.diffusion_model.channels - 16, 8, 12)], 1)
    arguments = {"context": sequence, "y": options.get("pooled_output"), "guidance": torch.tensor([3.5])}

    @torch.no_grad()
    def compute():
        return model.diffusion_model(x, torch.tensor([0.7]), **arguments)

    mm.load_models_gpu([patcher])
    whole = compute()
    mm.unload_all_models()
    patcher.load(device_to=CPU, lowvram_model_memory=patcher.model_size() // 2)
    resident = patcher.loaded_size() / patcher.model_size()
    assert 0 < resident < 1, resident
    partly = compute()
    patcher.unpatch_model(CPU)
    return difference(whole, partly)


def bytes_of(module: torch.nn.Module) -> int:
    return sum(weight.nbytes for weight in module.parameters())


def lora(opened, conditioning) -> dict:
    """A LoRA on a model: resident, streamed, and taken off again."""
    plain, size = draw(opened, conditioning), bytes_of(opened.model.model)
    name = next(
        key
        for key in opened.model.model_state_dict()
        if key.endswith(("transformer_blocks.0.attn.to_q.weight", "layers.0.attention.to_q.weight"))
    )
    module = opened.model.model.get_submodule(name.removesuffix(".weight"))
    change = torch.randn(module.out_features, module.in_features, generator=torch.Generator().manual_seed(3)) * 0.1
    clone = opened.model.clone()
    assert clone.add_patches({name: ("diff", (change,))}, 1.0) == [name]
    patched = opened._replace(model=clone)
    changed = draw(patched, conditioning)
    x = torch.randn(1, module.in_features, generator=torch.Generator().manual_seed(4))
    resident, grown = module(x), bytes_of(clone.model) - size
    clone.partially_unload(CPU, clone.model_size() // 2)
    moved = module(x)
    mm.unload_all_models()
    clone.load(device_to=CPU, lowvram_model_memory=1)
    module = clone.model.get_submodule(name.removesuffix(".weight"))
    streamed = module(x)
    clone.unpatch_model(CPU)
    exact = module(x) + x @ change.T
    mm.unload_all_models()
    return {
        "moves": difference(changed, plain),
        "streamed": difference(streamed, exact),
        "resident": float((resident - exact).norm() / exact.norm()),
        "moved": float((moved - exact).norm() / exact.norm()),
        "grown": grown,
        "restored": difference(draw(opened, conditioning), plain),
    }


def whole_checkpoint() -> dict:
    """One file with everything under ComfyUI's prefixes, read with ComfyUI's own tokenizers."""
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    torch.manual_seed(2)
    clip = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=64, intermediate_size=128, num_attention_heads=1, num_hidden_layers=2, projection_dim=64
        )
    )
    t5 = T5EncoderModel(
        T5Config(
            vocab_size=32128, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, feed_forward_proj="gated-gelu"
        )
    )
    folder = MODELS / "diffusers" / "FLUX.1"
    names = {f"text_model.{key.removeprefix('text_model.')}": value for key, value in clip.state_dict().items()}
    clip_weights, t5_weights = names, {k: v for k, v in t5.state_dict().items() if k != "encoder.embed_tokens.weight"}
    transformer = writers.original("FLUX.1", writers.weights_of(folder, "transformer"))
    vae = writers.original_vae(writers.weights_of(folder, "vae"))
    writers.write(
        MODELS / "checkpoints" / "everything.safetensors",
        writers.prefixed(transformer, "model.diffusion_model.")
        | writers.prefixed(clip_weights, "text_encoders.clip_l.transformer.")
        | writers.prefixed(t5_weights, "text_encoders.t5xxl.transformer.")
        | writers.prefixed(vae, "vae."),
    )
    flat = {"img_in.weight", "vector_in.in_layer.weight", "txt_in.weight"}
    writers.write(  # a stranger's: it is not listed, and does not take the list, and with it the pack, away
        MODELS / "checkpoints" / "flat.safetensors",
        {name: tensor.flatten() if name in flat else tensor for name, tensor in transformer.items()},
    )
    writers.write(MODELS / "text_encoders" / "l.safetensors", clip_weights)
    writers.write(MODELS / "clip" / "t5 fp8.safetensors", {k: v.to(torch.float8_e4m3fn) for k, v in t5_weights.items()})
    everything = "checkpoints/everything.safetensors"
    writers.tiny.BUILDERS["FLUX.3"](MODELS / "diffusers" / "FLUX.3")
    opened = opening.load_model(everything, "fp32")
    halves = ("text_encoders/t5 fp8.safetensors", "text_encoders/l.safetensors")
    apart = opening.load(everything, *halves, "auto", "auto")
    dense = opening.load(everything, *halves, "auto", "fp32")
    kept = opening.load(
        "diffusion_models/FLUX.1 original.safetensors", "checkpoints/everything.safetensors", "auto", "none", "fp32"
    )
    ours = opened.clip.tokenize(PROMPT)
    import comfy.text_encoders.flux as flux

    stock = flux.FluxTokenizer().tokenize_with_weights(PROMPT)
    with torch.no_grad():
        ids = ours["t5xxl"].ids
        reference = t5.eval()(ids).last_hidden_state
        pooled = clip.eval()(ours["l"].ids).pooler_output
    sequence, options = encode(opened.clip)
    cast, _ = encode(apart.clip)
    return {
        "listed": list(model_files.whole_files()),
        "clip ids": ours["l"].ids[0].tolist() == [token for token, _ in stock["l"][0]],
        "t5 ids": ours["t5xxl"].ids[0, :16].tolist() == [token for token, _ in stock["t5xxl"][0]][:16],
        "sequence": difference(sequence, reference),
        "pooled": difference(options["pooled_output"], pooled),
        "fp8": difference(cast, reference) / float(reference.std()),
        "fp8 stored": sum(isinstance(m, StoredLinear) for m in apart.clip.cond_stage_model.modules()),
        "same": difference(encode(kept.clip)[0], sequence),
        "finite": bool(draw(opened, [sequence, options]).isfinite().all()),
        "shared": opening.load_model("checkpoints/everything.safetensors", "fp32").model is opened.model,
        "text LoRA": text_lora(apart, dense),
        "FLUX.3": [part for part, known in model_files.choices().items() if "diffusers/FLUX.3" in known],
        "none beside auto": opening.load(everything, "none", "auto", "none", "fp32").clip is None,
    }


def text_lora(kept, dense) -> dict:
    """A LoRA of T5 on stored weights, and on the same written as numbers."""
    layer = "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q"
    random = torch.Generator().manual_seed(5)
    tensors = {f"{layer}.lora_up.weight": torch.randn(16, 2, generator=random)}
    tensors[f"{layer}.lora_down.weight"] = torch.randn(2, 16, generator=random)
    writers.write(MODELS / "loras" / "t5.safetensors", tensors)
    rows = [loras.Row("lora_1", "t5.safetensors", 1.0, 1.0)]
    plain = encode(kept.clip)[0]
    (_, clip, outcome), (_, other, _) = (loras.apply_rows(opened.model, opened.clip, rows) for opened in (kept, dense))
    changed, expected = encode(clip)[0], encode(other)[0]
    return {
        "layers": outcome[0].text_layers,
        "moves": difference(expected, plain),
        "difference": difference(changed, expected),
    }


def qwen() -> dict:
    """A Qwen3 file as ComfyUI names it, and as llama.cpp does, with ComfyUI's tokenizer and the published template."""
    import comfy.text_encoders.flux as flux
    import comfy.text_encoders.z_image as z_image
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(2)
    out = {}
    for name, layers in (("FLUX.2 klein", 28), ("Z-Image Turbo", 3)):
        config = Qwen3Config(
            vocab_size=151936, hidden_size=16, intermediate_size=32, num_hidden_layers=layers, num_attention_heads=2,
            num_key_value_heads=1, head_dim=8, tie_word_embeddings=True, rope_theta=1e6, rms_norm_eps=1e-6,
        )  # fmt: skip
        model = Qwen3ForCausalLM(config).eval()
        weights = {key: value for key, value in model.state_dict().items() if key != "lm_head.weight"}
        writers.write(MODELS / "text_encoders" / f"qwen {name}.safetensors", weights)
        choice = f"diffusion_models/{name} original.safetensors"
        opened = opening.load(choice, f"text_encoders/qwen {name}.safetensors", "auto", "none", "fp32")
        ours = opened.clip.tokenize(PROMPT)["qwen3_4b"]
        stock = (flux.KleinTokenizer if name == "FLUX.2 klein" else z_image.ZImageTokenizer)().tokenize_with_weights(
            PROMPT
        )
        ids = [token for token, _ in stock["qwen3_4b"][0]]
        count = ours.counts[0]
        with torch.no_grad():
            states = model.model(ours.ids, attention_mask=ours.mask, output_hidden_states=True).hidden_states
        taken = [states[9], states[18], states[27]] if name == "FLUX.2 klein" else [states[-2]]
        expected = torch.cat(taken, dim=-1)
        sequence = encode(opened.clip)[0]
        out[name] = {
            "ids": ours.ids[0, :count].tolist() == ids[:count],
            "sequence": difference(sequence, expected[:, : sequence.shape[1]]),
        }
        if HAS_GGUF:
            llama = {_llama_cpp(key): value for key, value in weights.items()}
            writers.gguf(MODELS / "text_encoders" / f"qwen {name}.gguf", llama, "F32", "qwen3")
            gguf = opening.load(choice, f"text_encoders/qwen {name}.gguf", "auto", "none", "fp32")
            out[name]["gguf"] = difference(encode(gguf.clip)[0], sequence)
    return out


def mistral() -> dict:
    """FLUX.2 dev with its text encoder from a GGUF, tokenizer and all."""
    from storefront.studio.kinds import tekken

    folder = writers.build("FLUX.2 dev", MODELS / "diffusers" / "FLUX.2 dev")
    vocabulary = writers.vocabulary(tekken.from_tekken(writers.tekken(tekken.TEKKEN), "x"))
    weights = writers.llama_cpp_mistral(writers.weights_of(folder, "text_encoder"))
    width = weights["token_embd.weight"].shape[1]
    weights["token_embd.weight"] = torch.randn(300, width, generator=torch.Generator().manual_seed(1))
    file = MODELS / "text_encoders" / "mistral.gguf"
    file.parent.mkdir(exist_ok=True)
    writers.gguf(file, weights, "Q8_0", "llama", vocabulary)
    choice = ("diffusers/FLUX.2 dev", "text_encoders/mistral.gguf", "auto", "none")
    kept = opening.load(*choice, "auto")
    dense = opening.load(*choice, "fp32")
    lora = gguf_lora(kept, dense)
    tokens = kept.clip.tokenize("hello hello")["mistral3_24b"]
    sequence = encode(kept.clip)[0]
    return {
        "words": kept.clip.tokenizer.studio.decode(tokens.ids[0].tolist()),
        "kept against expanded": difference(sequence, encode(dense.clip)[0]),
        "stored": sum(isinstance(m, StoredLinear) for m in kept.clip.cond_stage_model.modules()),
        "width": sequence.shape[-1],
        "LoRA": lora,
    }


def gguf_lora(kept, dense) -> dict:
    """A DoRA of PEFT on a text encoder whose weights are a GGUF's blocks, against PEFT's forward on the same as numbers."""
    part = kept.clip.cond_stage_model.studio.part
    ours, inner = (getattr(opened.clip.cond_stage_model, part).transformer for opened in (kept, dense))
    layers = [name for name in lora_files.linear_shapes(inner) if ".layers.1." in name]
    saved = lora_files.peft_adapter(inner, layers, 4)
    metadata = {"lora_adapter_metadata": json.dumps({"text_encoder.lora_alpha": 4, "text_encoder.r": 2})}
    writers.write(
        MODELS / "loras" / "mistral.safetensors", {f"text_encoder.{k}": t for k, t in saved.items()}, metadata
    )
    _, clip, outcome = loras.apply_rows(kept.model, kept.clip, [loras.Row("lora_1", "mistral.safetensors", 1.0, 1.0)])
    tokens = kept.clip.tokenize("a red lamp")[part]

    @torch.no_grad()
    def answer(module):
        return module(tokens.ids).logits

    plain, expected = answer(ours), answer(inner)
    # ComfyUI's full load of a CLIP, on a CPU as it is made, leaves marks by which a partial load leaves its patches out.
    for module in ours.modules():
        comfy.model_patcher.wipe_lowvram_weight(module)
    clip.patcher.load(device_to=CPU, lowvram_model_memory=1)  # nothing resident: patches go on as a layer is used
    streamed = answer(ours)
    clip.patcher.unpatch_model(CPU)
    once = answer(ours)
    mm.load_models_gpu([clip.patcher])
    resident = answer(ours)
    mm.unload_all_models()
    clip.patcher.unpatch_model(CPU)
    again = answer(ours)
    inner.disable_adapters()
    size = float(expected.abs().max())
    return {
        "layers": [outcome[0].text_layers, len(layers)],
        "stored": [isinstance(m, StoredLinear) for name, m in ours.named_modules() if name in layers],
        "moves": difference(expected, plain) / size,
        "streamed": difference(streamed, expected) / size,
        "resident": difference(resident, expected) / size,
        "taken off": max(difference(once, plain), difference(again, plain)),
    }


def _llama_cpp(name: str) -> str:
    """llama.cpp's name of a Qwen3 weight, from its published table (gguf.constants.TENSOR_NAMES)."""
    import gguf

    table = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, 64)
    return table.get_name(name, try_suffixes=(".weight",))


def refusals() -> dict:
    def outcome(*choice: str) -> str:
        try:
            opening.load(*choice)
        except InputError as error:
            return str(error)
        return ""

    original = "diffusion_models/FLUX.1 original.safetensors"
    klein = "diffusion_models/FLUX.2 klein original.safetensors"
    broken = MODELS / "diffusion_models" / "broken.safetensors"
    broken.write_bytes((MODELS / "diffusion_models" / "FLUX.1 original.safetensors").read_bytes()[:-50])
    (MODELS / "diffusion_models" / "pickle.ckpt").write_bytes(b"\x80\x04")
    save_file({"model.weight": torch.zeros(2)}, MODELS / "diffusion_models" / "other.safetensors")
    shutil.rmtree(MODELS / "diffusers" / "part", ignore_errors=True)
    shutil.copytree(MODELS / "diffusers" / "FLUX.1" / "transformer", MODELS / "diffusers" / "part" / "transformer")
    return {
        "not listed": outcome("diffusion_models/../x.safetensors", "auto", "auto", "auto", "auto"),
        "pickle": outcome("diffusion_models/pickle.ckpt", "auto", "auto", "auto", "auto"),
        "truncated": outcome("diffusion_models/broken.safetensors", "none", "none", "none", "auto"),
        "another model": outcome("diffusion_models/other.safetensors", "none", "none", "none", "auto"),
        "no text encoder": outcome(original, "auto", "auto", "none", "auto"),
        "t5 missing": outcome(original, "text_encoders/l.safetensors", "auto", "none", "auto"),
        "wrong encoder": outcome(klein, "text_encoders/l.safetensors", "auto", "none", "auto"),
        "wrong width": outcome(
            "diffusion_models/Z-Image Turbo original.safetensors", "diffusers/FLUX.1", "auto", "none", "auto"
        ),
        "wrong vae": outcome(original, "none", "none", "vae/FLUX.2 klein.safetensors", "auto"),
        "vae as transformer": outcome("checkpoints/vae.safetensors", "none", "none", "none", "auto"),
        "nothing left": outcome(
            klein,
            "text_encoders/qwen FLUX.2 klein.safetensors",
            "text_encoders/qwen Z-Image Turbo.safetensors",
            "none",
            "auto",
        ),
        "no vae": outcome("diffusers/part", "none", "none", "auto", "auto"),
        "dtype": outcome(original, "none", "none", "none", "fp4"),
    }


vae_file = MODELS / "checkpoints" / "vae.safetensors"
figures = {"namings": {name: namings(name) for name in NAMES}}
writers.write(vae_file, writers.weights_of(MODELS / "diffusers" / "FLUX.1", "vae"))
if HAS_GGUF:
    figures["mistral"] = mistral()
figures |= {
    "omni": of_parts("Z-Image Omni", shown_by_stock),
    "flux3": of_parts("FLUX.3 distilled", shown_by_us),
    "quantised": quantised_folder(),
    "whole": whole_checkpoint(),
    "qwen": qwen(),
    "refusals": refusals(),
}
print("FIGURES " + json.dumps(figures))
