"""The score against transformers' own processor and CLIPModel, on a CLIP of random weights with the layout of a real one."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import unicodedata
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from storefront.studio.errors import ModelFilesError
from storefront.studio.images import to_pil
from storefront.studio.output import score
from transformers import CLIPModel, CLIPProcessor

_spec = importlib.util.spec_from_file_location("tiny", Path(__file__).parents[1] / "tiny.py")
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    tiny.build_clip(folder)
    return folder


@pytest.fixture(scope="module")
def clip(folder):
    return score.load(folder, "tiny")


def pictures(count: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("text", ["a red mug", "A Red MUG on a table, soft light", "a red mug " * 60])
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 90, 41), (2 * score.BATCH + 1, 40, 120), (1, 2, 300), (2, 301, 1)])
def test_it_is_transformers_logits_over_their_scale(clip, folder, shape, text):
    image = pictures(*shape)
    reference = CLIPModel.from_pretrained(folder).eval()
    processor = CLIPProcessor.from_pretrained(folder)
    batch = processor(text=[text], images=to_pil(image), return_tensors="pt", truncation=True, max_length=77)
    with torch.no_grad():
        wanted = reference(**batch).logits_per_image[:, 0] / reference.logit_scale.exp()
    found = score.score(clip, image, score.read(clip, text), CPU)
    torch.testing.assert_close(torch.tensor(found), 100 * wanted, rtol=1e-4, atol=1e-4)
    assert all(-100 <= value <= 100 for value in found)


def test_picture_and_words_matter(clip):
    image = pictures(2, 40, 40)
    mug = score.score(clip, image, score.read(clip, "a red mug"), CPU)
    car = score.score(clip, image, score.read(clip, "a blue car"), CPU)
    assert abs(mug[0] - mug[1]) > 0.01
    assert abs(mug[0] - car[0]) > 0.01


@pytest.mark.parametrize(("height", "width"), [(1, 16384), (16383, 1), (3, 500)])
def test_long_pictures_are_cut_before_they_are_resized(clip, height, width):
    """At 224 pixels a side, 1 x 16384 would become gigabytes."""
    seen = []

    def processor(images, **options):
        seen.extend(image.size for image in images)
        return clip.processor(images=images, **options)

    image = pictures(1, height, width)
    found = score.score(clip._replace(processor=processor), image, score.read(clip, "mug"), CPU)
    assert len(found) == 1
    assert max(seen[0]) <= score.LONGEST_ASPECT * min(seen[0]) + 1


def test_it_listens_before_every_batch(clip):
    heard = []
    score.score(clip, pictures(2 * score.BATCH + 1, 8, 8), score.read(clip, "mug"), CPU, lambda: heard.append(1))
    assert len(heard) == 3


def test_what_was_cut_is_told(clip):
    fits, long = score.read(clip, "red " * 75), score.read(clip, "red " * 75 + "mug blue")
    assert (fits.cut, fits.total, score.notes_on(clip, fits)) == ("", 77, [])
    assert (long.cut.split(), long.total) == (["mug", "blue"], 79)
    (note,) = score.notes_on(clip, long)
    assert "77 of 79 tokens" in note
    assert "mug blue" in note
    assert torch.equal(long.ids, fits.ids)


@pytest.mark.parametrize("text", ["딸기라떼", "딸기라떼, 신메뉴!", "  신메뉴\n"])
def test_korean_alone_is_not_scored(clip, text):
    words = score.read(clip, text)
    assert not words.is_readable
    assert "reads no Korean" in score.notes_on(clip, words)[0]
    assert "no score" in score.notes_on(clip, words)[0]


def test_korean_within_english_is_told(clip):
    words = score.read(clip, unicodedata.normalize("NFD", "딸기라떼 in a tall glass"))
    assert words.is_readable
    assert words.unread == ("딸기라떼",)
    assert torch.equal(words.ids, score.read(clip, "in a tall glass").ids)
    assert "딸기라떼" in score.notes_on(clip, words)[0]


def test_a_tokenizer_that_knows_korean_is_believed(clip):
    """One token for each syllable: some CLIP models were trained so."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: number for number, token in enumerate(["<pad>", "<unk>", *"딸기라떼"])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    korean = clip._replace(tokenizer=PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>"))
    assert score.read(korean, "딸기라떼").unread == ()
    assert score.read(korean, "딸기라떼").is_readable


def break_weights(folder: Path) -> None:
    weights = folder / score.WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-100])


def drop_a_weight(folder: Path) -> None:
    weights = load_file(folder / score.WEIGHTS_FILE)
    del weights["text_projection.weight"]
    save_file(weights, folder / score.WEIGHTS_FILE, {"format": "pt"})


def change(file: str, key: str, value: object):
    def change_it(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(content | {key: value}))

    return change_it


def pickle_only(folder: Path) -> None:
    (folder / score.WEIGHTS_FILE).rename(folder / "pytorch_model.bin")


BROKEN = {
    "truncated": (break_weights, "bytes"),
    "a weight missing": (drop_a_weight, "text_projection"),
    "a pickle": (pickle_only, "pickle"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").write_text("{"), "whole CLIP"),
    "no processor": (lambda folder: (folder / "preprocessor_config.json").unlink(), "whole CLIP"),
    "another size": (change("preprocessor_config.json", "crop_size", {"height": 16, "width": 16}), "16, 16"),
    "other weights": (change("config.json", "projection_dim", 12), "whole CLIP"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_folder_is_named(folder, tmp_path, what):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    damage, told = BROKEN[what]
    damage(copy)
    with pytest.raises(ModelFilesError, match="my clip") as refused:
        score.load(copy, "my clip")
    assert told in str(refused.value)
    assert str(copy) not in str(refused.value)


def test_code_in_a_folder_does_not_run(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    ran = tmp_path / "ran"
    (copy / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Evil: pass\n")
    change("tokenizer_config.json", "auto_map", {"AutoTokenizer": ["evil.Evil", None]})(copy)
    change("tokenizer_config.json", "tokenizer_class", "Evil")(copy)
    change("config.json", "auto_map", {"AutoModel": "evil.Evil"})(copy)
    with contextlib.suppress(ModelFilesError):  # transformers 4 refuses such a folder, 5 reads the rest of it
        assert score.read(score.load(copy, "my clip"), "mug").is_readable
    assert not ran.exists()


def test_weights_that_give_no_numbers(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    weights = load_file(copy / score.WEIGHTS_FILE)
    weights["visual_projection.weight"] *= float("nan")
    save_file(weights, copy / score.WEIGHTS_FILE, {"format": "pt"})
    clip = score.load(copy, "my clip")
    with pytest.raises(ModelFilesError, match="my clip"):
        score.score(clip, pictures(1, 8, 8), score.read(clip, "mug"), CPU)
