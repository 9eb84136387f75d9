"""LoRA files' names against diffusers' own checkpoint converters, spellings, whole sets, files that must not be read."""

from __future__ import annotations

import importlib.util
import json
import struct
from pathlib import Path

import pytest
import torch
from diffusers import Flux2Transformer2DModel, FluxTransformer2DModel, ZImageTransformer2DModel
from diffusers.loaders import single_file_utils
from safetensors.torch import save_file
from storefront.studio.errors import InputError
from storefront.studio.opening import lora

_spec = importlib.util.spec_from_file_location(
    "original_layout", Path(__file__).parents[2] / "host" / "original_layout.py"
)
original_layout = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(original_layout)


def flux1():
    return FluxTransformer2DModel(
        in_channels=64,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        guidance_embeds=True,
        axes_dims_rope=(4, 6, 6),
    )


def flux2():
    return Flux2Transformer2DModel(
        in_channels=128,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=48,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
    )


def z_image():
    return ZImageTransformer2DModel(
        all_patch_size=(2,),
        all_f_patch_size=(1,),
        in_channels=16,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[4, 6, 6],
        axes_lens=[64, 32, 32],
    )


FAMILIES = {"FLUX.1": flux1, "FLUX.2": flux2, "Z-Image": z_image}
UNNAMED = ("x_pad_token", "cap_pad_token")  # Z-Image's, which are no layers


def original_weights(transformer, weights) -> dict[str, torch.Tensor]:
    """The weights under the original names, by our table."""
    names = lora.file_names(transformer)
    own = {name.removesuffix(".weight") for name, _ in transformer.named_parameters()}
    ours = {name: names[name] for name in names if not name.startswith(("base_model.", "lora_transformer_"))}
    renamed = {part.layer for name, slices in ours.items() if name not in own for part in slices}
    out = {}
    for name, slices in ours.items():
        if name in renamed or name.endswith("linear1_qkv"):  # which is a part of linear1
            continue
        for kind in ("weight", "bias"):
            parts = [weights.get(f"{part.layer}.{kind}") for part in slices]
            if all(part is not None for part in parts):
                rows = [part[p.offset : p.offset + p.rows] for part, p in zip(parts, slices, strict=True)]
                out[f"{name}.{kind}"] = torch.cat(rows)
    return out


def random_weights(transformer) -> dict[str, torch.Tensor]:
    return {name: torch.rand_like(tensor) for name, tensor in transformer.state_dict().items()}


@pytest.mark.parametrize(
    ("family", "convert"),
    [
        ("FLUX.2", single_file_utils.convert_flux2_transformer_checkpoint_to_diffusers),
        ("Z-Image", single_file_utils.convert_z_image_transformer_checkpoint_to_diffusers),
    ],
)
def test_the_original_names_hold_the_rows_that_diffusers_says(family, convert):
    """Every weight under its original name by our table, and back by diffusers' converter of whole checkpoints."""
    transformer = FAMILIES[family]()
    weights = random_weights(transformer)
    back = convert(original_weights(transformer, weights))
    for name, tensor in weights.items():
        assert name in UNNAMED or torch.equal(back[name], tensor), name


def test_the_original_names_of_flux_1_hold_the_rows_that_comfyui_loads():
    """diffusers' converter knows the real width only; the host tests load this layout in ComfyUI's own model."""
    transformer = flux1()
    weights = random_weights(transformer)
    expected = {name.replace(".scale", ".weight"): t for name, t in original_layout.to_original(weights).items()}
    ours = original_weights(transformer, weights)
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[name], expected[name]) for name in ours)


@pytest.mark.parametrize("family", FAMILIES)
def test_slices_lie_side_by_side_and_fill_the_layers(family):
    transformer = FAMILIES[family]()
    rows = {name.removesuffix(".weight"): len(tensor) for name, tensor in transformer.named_parameters()}
    for name, slices in lora.file_names(transformer).items():
        ends = [0]
        for part in slices:
            assert part.start == ends[-1], name
            assert part.offset + part.rows <= rows[part.layer], name
            ends.append(part.start + part.rows)


def test_a_transformer_of_another_class_has_diffusers_names_alone():
    names = lora.file_names(torch.nn.Sequential(torch.nn.Linear(4, 6)))
    assert names["0"] == (lora.Slice("0", 0, 6, 0),)
    assert lora.convert({"0.lora_A.weight": torch.zeros(1, 4)}, "Sequential") == {}


@pytest.mark.parametrize(
    ("key", "standard"),
    [
        ("transformer.x_embedder.lora_A.default.weight", "transformer.x_embedder.lora_A.weight"),
        ("transformer.x_embedder.lora_B.bias", "transformer.x_embedder.diff_b"),
        ("model.diffusion_model.img_in.alpha", "diffusion_model.img_in.alpha"),
        ("transformer.x_embedder.lora_magnitude_vector", "transformer.x_embedder.dora_scale"),
        ("transformer.x_embedder.lora_magnitude_vector.weight", "transformer.x_embedder.dora_scale"),
        ("transformer.x_embedder.lora_magnitude_vector.default.weight", "transformer.x_embedder.dora_scale"),
        ("text_encoder.encoder.layers.0.mlp.fc1.lora_A.weight", "text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_A.weight"),
        ("text_encoder_2.encoder.block.0.x.lora_A.weight", "text_encoders.t5xxl.transformer.encoder.block.0.x.lora_A.weight"),
        ("double_blocks.3.processor.qkv_lora2.up.weight", "diffusion_model.double_blocks.3.txt_attn.qkv.lora_up.weight"),
        ("single_blocks.3.processor.proj_lora.down.weight", "diffusion_model.single_blocks.3.linear2.lora_down.weight"),
        ("single_blocks.3.processor.qkv_lora1.up.weight", "single_blocks.3.processor.qkv_lora1.up.weight"),
        ("lora_unet_img_in.lora_down.weight", "lora_unet_img_in.lora_down.weight"),
    ],
)  # fmt: skip
def test_spellings(key, standard):
    assert lora.standard_key(key) == standard


@pytest.mark.parametrize(
    ("endings", "whole"),
    [
        (["lora_up.weight", "lora_down.weight", "alpha"], True),
        (["lora_up.weight", "alpha"], False),
        (["lora_A.weight"], False),
        (["alpha"], False),
        (["hada_w1_a", "hada_w1_b", "hada_w2_a"], False),
        (["lokr_w1", "lokr_w2_a", "lokr_w2_b"], True),
        (["lokr_w1"], False),
        (["lokr_w1", "lokr_w2_a"], False),
        (["diff", "diff_b"], True),
        (["dora_scale"], False),
    ],
)
def test_half_a_set_is_not_used(endings, whole):
    assert lora.is_whole("layer", [f"layer.{ending}" for ending in endings]) == whole


def test_a_language_models_layers_have_the_names_of_every_trainer():
    key = "qwen3_4b.transformer.model.layers.0.mlp.up_proj.weight"
    names = lora.text_names([key, "clip_l.transformer.text_model.encoder.layers.0.mlp.fc1.weight", "logit_scale"])
    assert set(names.values()) == {key}
    assert {
        "text_encoder.model.layers.0.mlp.up_proj",
        "base_model.model.model.layers.0.mlp.up_proj",
        "text_encoders.qwen3_8b.transformer.model.layers.0.mlp.up_proj",
        "lora_te_layers_0_mlp_up_proj",
        "lora_te1_model_layers_0_mlp_up_proj",
    } <= set(names)


def test_magnitudes_are_not_dropped_by_a_conversion():
    group = {
        "diffusion_model.layers.0.attention.to.q.lora.down.weight": torch.ones(2, 8),
        "diffusion_model.layers.0.attention.to.q.lora.up.weight": torch.ones(8, 2),
        "diffusion_model.layers.0.attention.to.q.dora_scale": torch.ones(8, 1),
    }
    assert lora.convert(group, "ZImageTransformer2DModel") == {}


def test_a_layer_keeps_its_own_dots():
    assert lora.layer_of("transformer.transformer_blocks.0.ff.net.0.proj.lora_A.weight").endswith("ff.net.0.proj")
    assert lora.layer_of("odd.thing") == "odd.thing"


@pytest.mark.parametrize(
    ("metadata", "alpha"),
    [
        ({"transformer.lora_alpha": 8}, 8.0),
        ({"transformer.lora_alpha": 8, "transformer.alpha_pattern": {"x_embedder": 2}}, 2.0),
        ({"transformer.lora_alpha": 8, "transformer.use_rslora": True}, 16.0),
        ({"transformer.lora_alpha": "8"}, None),
        ({"transformer.lora_alpha": float("nan")}, None),
        ({"transformer.lora_alpha": 10**400}, None),
        ({"transformer.lora_alpha": 1e300}, None),
        ({}, None),
        ([], None),
    ],
)
def test_alpha_from_the_metadata(metadata, alpha):
    tensors = {"transformer.x_embedder.lora_A.weight": torch.zeros(4, 8)}
    lora.add_alphas(tensors, {"lora_adapter_metadata": json.dumps(metadata)})
    found = tensors.get("transformer.x_embedder.alpha")
    assert (found is None) if alpha is None else found.item() == alpha


def test_what_no_table_names_is_converted_by_diffusers():
    """Z-Image files of trainers that split names at every "_"."""
    group = {
        "diffusion_model.layers.0.attention.to.q.lora.down.weight": torch.ones(2, 8),
        "diffusion_model.layers.0.attention.to.q.lora.up.weight": torch.ones(8, 2),
    }
    assert set(lora.convert(group, "ZImageTransformer2DModel")) == {
        "transformer.layers.0.attention.to_q.lora_A.weight",
        "transformer.layers.0.attention.to_q.lora_B.weight",
    }


def header(entries: dict) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("a.pt", b"\x80\x04.", "pickles"),
        ("a.safetensors", b"", "whole safetensors file"),
        ("a.safetensors", struct.pack("<Q", 2**62), "whole safetensors file"),
        ("a.safetensors", header({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}), "a whole file of"),
        (
            "a.safetensors",
            header({"x": {"dtype": "Q9", "shape": [1], "data_offsets": [0, 4]}}) + b"1234",
            "can be read",
        ),
        ("a.safetensors", header({"x": 3}), "header that can be read"),
        ("a.safetensors", b"\x01" + bytes(7) + b"[", "header that can be read"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path, name, content, named):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"^`lora_2` is .*") as caught:
        lora.read(path, "lora_2")
    assert named in str(caught.value)


def test_infinite_numbers_are_refused(tmp_path):
    save_file({"x.lora_A.weight": torch.tensor([[1.0, float("inf")]])}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"finite numbers; x\.lora_A\.weight"):
        lora.read(tmp_path / "a.safetensors", "lora_1")


@pytest.mark.parametrize("kind", [torch.complex64, torch.float4_e2m1fn_x2])
def test_numbers_that_cannot_be_added_are_refused(tmp_path, kind):
    weight = torch.ones(2, 8, dtype=torch.uint8).view(kind)
    save_file({"x.lora_A.weight": weight}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"finite numbers; x\.lora_A\.weight"):
        lora.read(tmp_path / "a.safetensors", "lora_1")


@pytest.mark.parametrize("alpha", [torch.ones(3), torch.ones(0)])
def test_an_alpha_is_one_number(tmp_path, alpha):
    save_file({"x.lora_A.weight": torch.ones(2, 8), "x.alpha": alpha}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"one number for each alpha; x\.alpha has [03]"):
        lora.read(tmp_path / "a.safetensors", "lora_1")
