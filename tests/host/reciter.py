"""Language models that say one thing by heart: real classes whose weights are set, not learnt.

Each word of RECITED stands in it once, so the next word is a function of the last one alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

RECITED = (
    "A strawberry latte on the wooden table beside an open window in soft morning light with linen napkin and small "
    "flowers behind it , pale pink colours under calm empty space above"
)
TEMPLATE = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}<assistant>"


OTHER_WORDS = {"wooden": "oak", "soft": "gentle", "small": "tiny", "pale": "faint", "calm": "quiet", "empty": "bare"}


def make_folder(folder: Path, other_words: Mapping[str, str] = MappingProxyType({})) -> None:
    """A one-layer Llama in transformers' layout that answers RECITED to everything.

    In place of a word of `other_words` it says the other one as readily: there its seed decides.
    """
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<unk>", "<end>", "<assistant>", *RECITED.split(), *other_words.values()]
    assert len(set(words)) == len(words)
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<end>", pad_token="<end>")
    fast.add_special_tokens({"additional_special_tokens": ["<assistant>"]})
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)

    size = 64
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=size,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=1,
        pad_token_id=1,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.layers[0].self_attn.o_proj.weight.zero_()
        model.model.layers[0].mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.nn.functional.one_hot(torch.arange(len(words)), size))
        chain = [words.index(word) for word in ["<assistant>", *RECITED.split(), "<end>"]]
        head = torch.zeros(len(words), size)
        head[chain[1:], chain[:-1]] = 10  # times the norm's 8: nothing else has a chance
        for word, other in other_words.items():
            head[words.index(other)] = head[words.index(word)]
            head[:, words.index(other)] = head[:, words.index(word)]
        model.lm_head.weight.copy_(head)
    model.save_pretrained(folder, safe_serialization=True)


def make_broken(folder: Path, kind: str) -> None:
    """The same folder, spoilt: "code" asks for code of its own, "truncated" ends early, "pickle" has other weights."""
    make_folder(folder)
    if kind == "code":
        config = json.loads((folder / "config.json").read_text())
        config |= {
            "auto_map": {"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Config"},
            "model_type": "evil",
        }
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "evil.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    elif kind == "truncated":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-500])
