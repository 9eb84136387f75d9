"""LoRAs as a user meets them: rows, chains, styles, reports, refusals, on a running ComfyUI."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from comfyui import node, text_to_image

BUNDLED = "flux-micro-illustration.safetensors"


def with_lora(source: int = 1, **rows) -> dict:
    """A Load LoRA node behind the loader (1), or behind another of its kind."""
    clip = ["1", 1] if source == 1 else [str(source), 1]
    return node("StorefrontLoadLora", model=[str(source), 0], clip=clip, **{"lora_1": "none", **rows})


def drawn(comfyui, *nodes: dict, last: str | None = None, **changes):
    """The picture through nodes 10, 11 ... between loader and sampler, and the report of the last one."""
    added = {str(10 + i): entry for i, entry in enumerate(nodes)}
    last = last or (str(9 + len(nodes)) if nodes else "1")
    if nodes:
        added["30"] = node("PreviewAny", source=[last, 2])
    workflow = text_to_image(added, Sample={"model": [last, 0]}, Encode={"clip": [last, 1]}, **changes)
    result = comfyui.run(workflow)
    assert result.ok, result.error
    texts = [entry for output in result.history["outputs"].values() for entry in output.get("text", ())]
    return result.pixels().astype(int), "".join(texts)


@pytest.mark.usefixtures("no_traceback")
def test_the_bundled_lora_draws_its_style_and_says_what_matched(comfyui):
    plain, _ = drawn(comfyui)
    styled, report = drawn(comfyui, with_lora(lora_1=BUNDLED))
    half, _ = drawn(comfyui, with_lora(lora_1=BUNDLED, strength_1=0.5))
    off, _ = drawn(comfyui, with_lora(lora_1=BUNDLED, strength_1=0.0))
    assert "0 keys unmatched" in report
    assert abs(styled - plain).mean() > 5
    assert 1 < abs(half - plain).mean() < abs(styled - plain).mean()
    assert (off == plain).all()
    assert (drawn(comfyui)[0] == plain).all()  # taken off again
    # Pastel and flat: the wall and the table are lighter, the mug is as red.
    assert styled[:, :20].mean() > plain[:, :20].mean()
    assert styled[:, 50:, :16].mean() > plain[:, 50:, :16].mean() + 20
    mug = styled[0, 28:48, 24:40].mean((0, 1))
    assert mug[0] > mug[1:].max() + 80


@pytest.mark.usefixtures("no_traceback")
def test_rows_chains_and_the_order_come_to_the_same(comfyui):
    rows, report = drawn(comfyui, with_lora(lora_1=BUNDLED, strength_1=0.4, lora_3="micro.safetensors", strength_3=0.5))
    chain, _ = drawn(
        comfyui,
        with_lora(lora_1="micro.safetensors", strength_1=0.5),
        with_lora(10, lora_1=BUNDLED, strength_1=0.4),
    )
    assert report.count("matched") >= 2
    assert abs(rows - chain).max() <= 1


@pytest.mark.usefixtures("no_traceback")
def test_our_node_and_the_stock_loader_draw_the_same(comfyui):
    ours, _ = drawn(comfyui, with_lora(lora_1="micro.safetensors", strength_1=0.7))
    stock = node("LoraLoaderModelOnly", model=["1", 0], lora_name="micro.safetensors", strength_model=0.7)
    theirs = comfyui.run(text_to_image({"10": stock}, Sample={"model": ["10", 0]})).pixels().astype(int)
    assert (ours == theirs).all()


@pytest.mark.usefixtures("no_traceback")
def test_on_a_stock_model_with_the_original_layout(comfyui):
    """UNETLoader's own FLUX.1 with the same weights, the LoRA with diffusers' names: the same picture as on ours."""
    loader = node("UNETLoader", unet_name="micro.safetensors", weight_dtype="default")
    lora = node("StorefrontLoadLora", model=["20", 0], lora_1="micro.safetensors", strength_1=0.7)
    ours, _ = drawn(comfyui, with_lora(lora_1="micro.safetensors", strength_1=0.7))
    workflow = text_to_image({"20": loader, "10": lora}, Sample={"model": ["10", 0]})
    assert abs(comfyui.run(workflow).pixels().astype(int) - ours).max() <= 2


@pytest.mark.usefixtures("no_traceback")
@pytest.mark.parametrize("dtype", ["bf16", "fp8 storage"])
def test_smaller_weights_take_it_too(comfyui, dtype):
    whole, _ = drawn(comfyui, with_lora(lora_1=BUNDLED))
    small, report = drawn(comfyui, with_lora(lora_1=BUNDLED), LoadModel={"weight_dtype": dtype})
    assert "0 keys unmatched" in report
    assert abs(whole - small).mean() < 12


@pytest.mark.usefixtures("no_traceback")
def test_a_style_takes_the_first_lora_that_is_installed_and_fits(comfyui):
    style = node("StorefrontStyleLora", model=["1", 0], clip=["1", 1], style="illustration", strength=1.0)
    by_style, report = drawn(comfyui, style)
    by_file, _ = drawn(comfyui, with_lora(lora_1=BUNDLED))
    assert (by_style == by_file).all()
    assert f"{BUNDLED}: " in report
    style["inputs"]["strength"] = 0.5
    assert (drawn(comfyui, style)[0] == drawn(comfyui, with_lora(lora_1=BUNDLED, strength_1=0.5))[0]).all()


@pytest.mark.usefixtures("no_traceback")
@pytest.mark.parametrize("style", ["realistic", "semi-realistic", "anime · 애니메이션", "none"])
def test_a_style_without_an_installed_lora_passes_the_model_on_and_says_so(comfyui, style):
    entry = node("StorefrontStyleLora", model=["1", 0], clip=["1", 1], style=style, strength=1.0)
    picture, report = drawn(comfyui, entry)
    assert (picture == drawn(comfyui)[0]).all()
    assert "no style chosen" in report or ("the model is unchanged" in report and "XLabs-AI" in report)


@pytest.mark.usefixtures("no_traceback")
def test_a_users_own_style_preset_is_a_style_of_both_nodes(comfyui):
    text = (Path(__file__).parents[2] / "studio/prompt/presets/styles/pixel_art.yaml").read_text("utf-8")
    folder = comfyui.base / "user" / "default" / "storefront" / "presets" / "styles"
    folder.mkdir(parents=True, exist_ok=True)
    entry = node("StorefrontStyleLora", model=["1", 0], clip=["1", 1], style="brand", strength=1.0)
    try:
        (folder / "brand.yaml").write_text(f"{text}lora: {{file: {BUNDLED}}}\n", "utf-8")
        for name in ("StorefrontStyleLora", "StorefrontAdPrompt"):
            assert "'brand'" in str(comfyui.get(f"/object_info/{name}"))
        picture, report = drawn(comfyui, entry)
        assert f"{BUNDLED}: " in report
        (folder / "brand.yaml").write_text(text, "utf-8")  # a change of the file alone is seen
        picture, report = drawn(comfyui, entry)
        assert "no LoRA belongs to it" in report
        assert (picture == drawn(comfyui)[0]).all()
    finally:
        (folder / "brand.yaml").unlink()


def test_a_style_that_is_none_is_refused_by_name(comfyui):
    entry = node("StorefrontStyleLora", model=["1", 0], clip=["1", 1], style="cubism", strength=1.0)
    result = comfyui.run(text_to_image({"10": entry}, Sample={"model": ["10", 0]}))
    assert "`style` is 'cubism'. Expected: one of: " in result.error


def test_the_users_own_table_of_styles(comfyui):
    table = comfyui.base / "user" / "default" / "storefront" / "styles.yaml"
    table.parent.mkdir(parents=True, exist_ok=True)
    try:
        table.write_text(
            "brand:\n  - {file: absent.safetensors}\n  - {file: micro.safetensors, strength: 0.7}\n", "utf-8"
        )
        assert "brand" in str(comfyui.get("/object_info/StorefrontStyleLora"))
        entry = node("StorefrontStyleLora", model=["1", 0], clip=["1", 1], style="brand", strength=1.0)
        picture, report = drawn(comfyui, entry)
        assert (picture == drawn(comfyui, with_lora(lora_1="micro.safetensors", strength_1=0.7))[0]).all()
        assert "micro.safetensors: " in report
        table.write_text("brand: 3\n", "utf-8")
        listed = str(comfyui.get("/object_info/StorefrontStyleLora"))
        assert "illustration" in listed
        assert "brand" not in listed
        refused = comfyui.run(text_to_image({"10": {**entry, "inputs": {**entry["inputs"], "style": "anime"}}},
                                            Sample={"model": ["10", 0]}))  # fmt: skip
        assert "styles.yaml" in refused.error
    finally:
        table.unlink()


@pytest.mark.usefixtures("no_traceback")
def test_a_file_replaced_under_its_name_is_read_again(comfyui):
    from safetensors.torch import load_file, save_file

    path = comfyui.base / "models" / "loras" / "replaced.safetensors"
    weights = load_file(comfyui.base / "models" / "loras" / "micro.safetensors")
    save_file(weights, path)
    time.sleep(1)  # ComfyUI lists a folder again when its time stamp has changed
    first, _ = drawn(comfyui, with_lora(lora_1="replaced.safetensors"))
    save_file({key: -tensor if "lora_B" in key else tensor for key, tensor in weights.items()}, path)
    second, _ = drawn(comfyui, with_lora(lora_1="replaced.safetensors"))
    path.unlink()
    assert abs(first - second).mean() > 1


def test_changing_the_strength_does_not_open_the_model_again(comfyui):
    drawn(comfyui, with_lora(lora_1=BUNDLED, strength_1=0.9))
    opened = comfyui.log().count("model_type FLUX")
    for strength in (0.1, 0.2, -0.3):
        drawn(comfyui, with_lora(lora_1=BUNDLED, strength_1=strength))
    drawn(comfyui, with_lora(lora_1="micro.safetensors"))
    drawn(comfyui)
    assert comfyui.log().count("model_type FLUX") == opened


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ({"lora_1": "../../secret.safetensors"}, "lora_1"),
        ({"lora_2": "/etc/passwd"}, "lora_2"),
        ({"lora_1": BUNDLED, "strength_1": 1e9}, "strength_1"),
        ({"lora_1": BUNDLED, "strength_1": float("nan")}, "strength_1"),
        ({"lora_4": BUNDLED, "clip_strength_4": -11}, "clip_strength_4"),
        ({"lora_1": BUNDLED, "strength_1": "strong"}, "strength_1"),
    ],
)
def test_bad_rows_are_refused_by_name(comfyui, rows, named):
    result = comfyui.run(text_to_image({"10": with_lora(**rows)}, Sample={"model": ["10", 0]}))
    assert not result.ok
    assert named in result.error
    assert "Traceback" not in result.error


def test_a_lora_for_another_model_is_an_error_that_shows_its_keys(comfyui):
    import torch
    from safetensors.torch import save_file

    path = comfyui.base / "models" / "loras" / "sdxl.safetensors"
    save_file({f"lora_unet_output_blocks_{i}_1_proj_in.lora_up.weight": torch.zeros(8, 2) for i in range(3)}, path)
    time.sleep(1)
    result = comfyui.run(text_to_image({"10": with_lora(lora_1="sdxl.safetensors")}, Sample={"model": ["10", 0]}))
    path.unlink()
    assert "`lora_1` is 'sdxl.safetensors'" in result.error
    assert "none of its 3 keys fits, such as 'lora_unet_output_blocks_0_1_proj_in.lora_up.weight'" in result.error
