"""Ad Prompt's writers over ComfyUI's own language-model encoder: `python tests/host/inside_writing.py COMFYUI_FOLDER`.

A Qwen3 of ComfyUI's classes with Z-Image's stock tokenizer and template, tiny, its weights set so that it says
`reciter.RECITED`. Run by test_writing.py; prints JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, sys.argv[1])
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(ROOT / "tests" / "studio"))
sys.path.insert(0, str(ROOT / "tests" / "studio" / "prompt"))
sys.argv = ["inside", "--cpu", "--base-directory", tempfile.mkdtemp()]

import comfy.options

comfy.options.enable_args_parsing()

import utils.install_util  # noqa: F401, before ComfyUI 0.20's nodes.py puts comfy/, which has a utils.py, on the path
import server  # noqa: F401

import comfy.model_management as mm
import comfy.ops
import comfy.sd
import comfy.sd1_clip
import comfy.text_encoders.llama
import comfy.text_encoders.z_image
import folder_paths
import tiny
import torch
import transformers
from pack import import_pack

import_pack()

from reciter import RECITED
from sentences import SENTENCES
from storefront.host import (
    clip_score,
    clip_writer,
    connections,
    folder_writer,
    language_models,
    opening,
    preset_library,
    prompt_writers,
)
from storefront.studio.prompt import advert, flux3, writers
from storefront.studio.prompt.advert import AdBrief
from transformers import CLIPTokenizer, T5TokenizerFast

SIZE = 128
TINY = {"hidden_size": SIZE, "intermediate_size": 8, "num_hidden_layers": 3, "lm_head": True}
TINY |= {"num_attention_heads": 1, "num_key_value_heads": 1}
LATTE = "카페 신메뉴 딸기라떼, 따뜻하고 아늑한 분위기"
LIBRARY = preset_library.library()


class TinyQwen3(comfy.sd1_clip.SDClipModel):
    def __init__(self, device="cpu", dtype=None, model_options=None):
        super().__init__(
            device=device,
            layer="hidden",
            layer_idx=-2,
            textmodel_json_config=TINY,
            dtype=torch.float32,
            special_tokens={"pad": 151643},
            layer_norm_hidden_state=False,
            model_class=comfy.text_encoders.llama.Qwen3_4B,
            enable_attention_masks=True,
            return_attention_masks=True,
            model_options={"custom_operations": comfy.ops.manual_cast},
        )


class TinyEncoder(comfy.sd1_clip.SD1ClipModel):
    def __init__(self, device="cpu", dtype=None, model_options=None):
        super().__init__(device=device, dtype=dtype, name="qwen3_4b", clip_model=TinyQwen3, model_options={})


def stock_clip():
    target = types.SimpleNamespace(params={}, clip=TinyEncoder, tokenizer=comfy.text_encoders.z_image.ZImageTokenizer)
    clip = comfy.sd.CLIP(
        target, model_options={"load_device": torch.device("cpu"), "offload_device": torch.device("cpu")}
    )
    model = clip.cond_stage_model.qwen3_4b.transformer.model
    tokenizer = clip.tokenizer.qwen3_4b.tokenizer
    words = tokenizer(RECITED)["input_ids"]
    assert len(set(words)) == len(words), "a token stands twice"
    chain = [tokenizer("\n")["input_ids"][-1], *words, 151645]
    assert chain[0] not in words
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.norm.weight.fill_(1)
        for index, token in enumerate(chain):
            model.embed_tokens.weight[token, index] = 1
        for before, after in zip(range(len(words) + 1), chain[1:]):
            model.lm_head.weight[after, before] = 10
    return clip


def compose(brief: AdBrief, clip, folder: str = connections.NONE) -> advert.Advert:
    line = prompt_writers.choices(brief.translate, clip, folder, "none")
    return advert.compose(brief, preset_library.library(), line, clip_writer.reads_korean(clip))


def encoder() -> dict:
    clip = stock_clip()
    brief = AdBrief(LATTE, translate=writers.OWN_ENCODER)
    made = compose(brief, clip)
    told = [
        compose(AdBrief(said.text, translate=writers.OWN_ENCODER, glossary=said.glossary), clip)
        for said in SENTENCES[:3]
    ]
    mm.interrupt_current_processing(True)
    try:
        compose(AdBrief(LATTE, translate=writers.OWN_ENCODER, seed=9), clip)
        cancelled = ""
    except BaseException as error:
        cancelled = type(error).__name__
    mm.interrupt_current_processing(False)
    return {
        "reads korean": clip_writer.reads_korean(clip),
        "loaded by ComfyUI": any(model.model is clip.patcher for model in mm.current_loaded_models),
        "written by": made.report["written_by"],
        "attempts": made.report["attempts"],
        "starts as recited": made.prompt.startswith(RECITED),
        "kept": [all(kept in one.prompt for kept in said.kept) for one, said in zip(told, SENTENCES)],
        "cancelled": cancelled,
    }


def tokens(folder: Path) -> dict:
    """The most tokens that FLUX's own two tokenizers, as ComfyUI ships them, make of the presets' prompts."""
    clip = CLIPTokenizer.from_pretrained(folder / "comfy" / "sd1_tokenizer")
    t5 = T5TokenizerFast.from_pretrained(folder / "comfy" / "text_encoders" / "t5_tokenizer")
    longest, subject_ends, least = 0, 0, 9.0
    for trade in LIBRARY.trades.values():
        for number, style in enumerate(LIBRARY.styles):
            for said in SENTENCES[number % 4 :: 4]:
                made = advert.compose(AdBrief(said.text, trade.key, style, seed=number), LIBRARY, [], True)
                count = len(t5(made.prompt)["input_ids"])
                subject = made.report["look"]["subject"]
                until = made.prompt[: made.prompt.index(subject) + len(subject)]
                longest = max(longest, count)
                subject_ends = max(subject_ends, len(clip(until)["input_ids"]))
                least = min(least, advert.tokens_at_most(made.prompt) / count)
    return {"T5": longest, "subject ends at CLIP's": subject_ends, "estimate to count": least}


def korean() -> dict:
    """Whether encoders tell Korean apart: the bundled one, trained on it, and FLUX's own T5 tokenizer beside CLIP's."""
    micro = opening.load_model("flux-micro", "fp32").clip
    import comfy.text_encoders.flux

    stock = types.SimpleNamespace(tokenize=comfy.text_encoders.flux.FluxTokenizer().tokenize_with_weights)
    return {"flux-micro": clip_writer.reads_korean(micro), "FLUX.1": clip_writer.reads_korean(stock)}


def upsampler() -> dict:
    """FLUX.3's prompt upsampler, tiny, with half of its weights resident, and with a Cancel."""
    folder = Path(tempfile.mkdtemp())
    tiny.build_upsampler(folder)
    opened = language_models.open_folder(
        "upsampler", "tiny", folder, transformers.Qwen3_5ForConditionalGeneration, transformers.AutoProcessor
    )
    brief = flux3.CaptionRequest("a cup", references=(torch.zeros(1, 64, 96, 3),))
    whole = flux3.upsample(brief, opened, opened.reader, 8)
    mm.unload_all_models()
    opened.patcher.load(device_to=torch.device("cpu"), lowvram_model_memory=opened.patcher.model_size() // 2)
    share = opened.patcher.loaded_size() / opened.patcher.model_size()
    ids = opened.reader(text="a cup", return_tensors="pt")
    half = opened.model.generate(**ids, max_new_tokens=8, do_sample=False).tolist()
    opened.patcher.unpatch_model(torch.device("cpu"))
    mm.interrupt_current_processing(True)
    try:
        flux3.upsample(brief, opened, opened.reader, 8)
        cancelled = ""
    except BaseException as error:
        cancelled = type(error).__name__
    mm.interrupt_current_processing(False)
    return {
        "written": whole,
        "resident": share,
        "half as whole": half == opened.generate(**ids, max_new_tokens=8, do_sample=False).tolist(),
        "cancelled": cancelled,
    }


def memory_runs_out() -> dict:
    """What each of those that do without a model says where a card's asynchronous allocator gives no memory."""

    def fail(*_, **__):
        raise torch.AcceleratorError("CUDA error: out of memory")

    clip = stock_clip()
    clip.generate = fail
    folder = folder_writer.FolderWriter("a folder", Path())
    folder._generate, folder._opened = fail, folder
    said = []
    for writer in (clip_writer.EncoderWriter(clip), folder):
        try:
            said.append(writer.write("", "", 0))
        except writers.WriterError as error:
            said.append(str(error))
    tiny.build_clip(Path(folder_paths.models_dir) / "clip_vision" / "tiny")
    clip_score._under_management = fail
    score = clip_score.judge([torch.zeros(1, 32, 32, 3)], ["a cup"], None)
    return {"writers": said, "score": score.notes}


if __name__ == "__main__":
    comfyui = Path(comfy.options.__file__).parents[1]
    figures = {"encoder": encoder(), "tokens": tokens(comfyui), "korean": korean(), "upsampler": upsampler()}
    figures["memory runs out"] = memory_runs_out()
    print("FIGURES " + json.dumps(figures))
