"""What tests/bench/sweep.py gives the nodes whose defaults change nothing in a 64 px picture, and what it cannot give at all."""

from __future__ import annotations

from typing import Any

# Values of widgets, by node. Every other widget has its default.
SETTINGS: dict[str, dict[str, Any]] = {
    "CLIPAttentionMultiply": {"q": 1.4, "k": 1.3, "v": 1.2, "out": 0.8},
    "CLIPSetLastLayer": {"stop_at_clip_layer": -2},
    "CLIPTextEncodeFlux": {"guidance": 7.0},
    "CFGOverride": {"cfg": 4.0},
    "ConditioningMultiply": {"multiplier": 1.5},
    "ConditioningSetArea": {"width": 32, "height": 64},
    "ConditioningSetAreaPercentage": {"width": 0.5, "height": 1.0},
    "ConditioningSetAreaStrength": {"strength": 0.4},
    "ConditioningSetTimestepRange": {"start": 0.3, "end": 1.0},
    "ConditioningAverage": {"conditioning_to_strength": 0.4},
    "DifferentialDiffusion": {"strength": 1.0},
    "EasyCache": {"reuse_threshold": 0.9, "start_percent": 0.0, "end_percent": 1.0},
    "Epsilon Scaling": {"scaling_factor": 1.1},
    "FreSca": {"scale_low": 1.3, "scale_high": 1.5, "freq_cutoff": 2},
    "FluxGuidance": {"guidance": 9.0},
    "FluxKontextMultiReferenceLatentMethod": {"reference_latents_method": "index"},
    "KSamplerAdvanced": {"steps": 4, "cfg": 2.0},
    "KSampler": {"steps": 4, "cfg": 2.0},
    "LatentBlend": {"blend_factor": 0.3},
    "LatentComposite": {"x": 16, "y": 16},
    "LatentCompositeMasked": {"x": 16, "y": 16},
    "LatentCrop": {"width": 32, "height": 32},
    "LatentInterpolate": {"ratio": 0.4},
    "LatentMultiply": {"multiplier": 1.4},
    "LatentRotate": {"rotation": "90 degrees"},
    "LatentUpscale": {"width": 96, "height": 96},
    "LazyCache": {"reuse_threshold": 0.9, "start_percent": 0.0, "end_percent": 1.0},
    "LoraSave": {"text_encoder_diff": None},  # it would decompose an embedding of 49,408 words
    "ModelComputeDtype": {"dtype": "bf16"},
    "ModelNoiseScale": {"noise_scale": 1.3},
    "ModelSamplingAuraFlow": {"shift": 4.0},
    "ModelSamplingFlux": {"max_shift": 2.5, "base_shift": 1.5},
    "NAGuidance": {"nag_scale": 5.0, "nag_alpha": 0.5, "nag_tau": 1.5},
    "PatchModelAddDownscale": {"start_percent": 0.0, "end_percent": 1.0},
    "RenormCFG": {"cfg_trunc": 100.0, "renorm_cfg": 0.7},
    "RepeatLatentBatch": {"amount": 2},
    "SamplerCustom": {"cfg": 2.0, "noise_seed": 7},
    "ScaleROPE": {"scale_x": 1.7, "scale_y": 1.7, "shift_y": 0.5},
    "SkipLayerGuidanceDiT": {"double_layers": "0", "single_layers": "0,1", "start_percent": 0.0, "end_percent": 1.0},
    "SkipLayerGuidanceDiTSimple": {
        "double_layers": "0",
        "single_layers": "0,1",
        "start_percent": 0.0,
        "end_percent": 1.0,
    },
    "SkipLayerGuidanceSD3": {"layers": "0,1", "start_percent": 0.0, "end_percent": 1.0},
    "T5TokenizerOptions": {"min_padding": 0, "min_length": 600},
    "TextGenerate": {"max_length": 4},
    "TextGenerateLTX2Prompt": {"max_length": 4},
    "TemporalScoreRescaling": {"tsr_k": 0.7, "tsr_sigma": 1.0},
    "TrainLoraNode": {"steps": 1, "training_dtype": "none", "lora_dtype": "fp32", "rank": 2},
    "UNetCrossAttentionMultiply": {"q": 1.5, "k": 1.5, "v": 1.5, "out": 1.5},
    "UNetSelfAttentionMultiply": {"q": 1.5, "k": 1.5, "v": 1.5, "out": 1.5},
    "UNetTemporalAttentionMultiply": {"self_structural": 1.5, "cross_structural": 1.5},
    "unCLIPConditioning": {"strength": 1.0},
}
SLIDER = 0.3  # of every merge node

# Nodes that are not run, and why.
LEFT_OUT = {
    "HypernetworkLoader": "needs a hypernetwork file, which FLUX.1 has none of",
    "TorchCompileModel": "compiles: tests/host/test_acceleration.py",
    "DiffControlNetLoader": "needs a ControlNet file",
}

# Nodes that do on ours what they are for, in another way than on stock.
OTHERWISE = {
    "TrainLoraNode": "trains; its LoRA has diffusers' names for layers and was not compared",
    "ModelComputeDtype": "both compute in bf16 and differ by its rounding",
    "LoraSave": "writes a file with diffusers' names for layers; the two files were not compared",
}
