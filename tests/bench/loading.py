"""How much memory opening a transformer takes at its peak, as a ratio to its weights: `python tests/bench/loading.py`.

A random FLUX.1 of the real width and few layers (2.9 GB in bf16) as folders and as single files. What opening takes
besides the weights does not grow with the number of layers: a whole FLUX.1's ratios are nearer to 1. Each case is a
process of its own; every weight is touched once, since pages of a mapped file count only from then on.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "studio" / "opening")]

from pack import import_pack

CASES = [  # name, what is opened, dtype of the weights, kept small
    ("sharded folder, bf16", "folder", "bfloat16", False),
    ("sharded folder, bf16 to fp32", "folder", "float32", False),
    ("single file of bf16, bf16", "bf16.safetensors", "bfloat16", False),
    ("single file of bf16, bf16 to fp32", "bf16.safetensors", "float32", False),
    ("single file of fp8, kept", "fp8.safetensors", "bfloat16", True),
    ("single file of fp8, fp8 to bf16", "fp8.safetensors", "bfloat16", False),
    ("GGUF of Q8_0, kept", "q8.gguf", "bfloat16", True),
    ("GGUF of Q8_0 to bf16", "q8.gguf", "bfloat16", False),
    ("GGUF of Q8_0 to fp32", "q8.gguf", "float32", False),
    ("GGUF of Q4_0, kept", "q4.gguf", "bfloat16", True),
    ("GGUF of Q4_0 to bf16", "q4.gguf", "bfloat16", False),
    ("nf4, kept", "nf4.safetensors", "bfloat16", True),
    ("nf4 to bf16", "nf4.safetensors", "bfloat16", False),
    ("nvfp4, kept", "nvfp4.safetensors", "bfloat16", True),
    ("nvfp4 to bf16", "nvfp4.safetensors", "bfloat16", False),
    ("torchao int8, kept", "int8.safetensors", "bfloat16", True),
    ("torchao int8 to bf16", "int8.safetensors", "bfloat16", False),
    ("torchao int4, kept", "int4.safetensors", "bfloat16", True),
    ("nunchaku int4 folder, kept", "nunchaku", "bfloat16", True),
    ("nunchaku int4 folder to bf16", "nunchaku", "bfloat16", False),
]


def build(folder: Path) -> None:
    import torch
    import writers
    from diffusers import FluxTransformer2DModel

    model = FluxTransformer2DModel(num_layers=2, num_single_layers=5, guidance_embeds=True).to(torch.bfloat16)
    model.save_pretrained(folder / "folder" / "transformer", max_shard_size="300MB")
    original = {
        name: tensor.bfloat16() for name, tensor in writers.original("FLUX.1", dict(model.state_dict())).items()
    }
    writers.write(folder / "bf16.safetensors", original)
    writers.write(folder / "fp8.safetensors", *writers.scaled_fp8(original, "new"))
    writers.write(folder / "nf4.safetensors", _random_codes(original, "nf4"))
    writers.write(folder / "nvfp4.safetensors", _random_codes(original, "nvfp4"))
    writers.write(folder / "int8.safetensors", *_torchao(dict(model.state_dict()), "Int8Tensor"))
    writers.write(folder / "int4.safetensors", *_torchao(dict(model.state_dict()), "Int4Tensor"))
    lite = folder / "nunchaku" / "transformer"
    lite.mkdir(parents=True)
    config = json.loads((folder / "folder" / "transformer" / "config.json").read_text())
    (lite / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "nunchaku_lite"}}))
    writers.write(lite / "diffusion_pytorch_model.safetensors", _nunchaku(dict(model.state_dict())))
    try:
        writers.gguf(folder / "q8.gguf", original, "Q8_0")
        writers.gguf(folder / "q4.gguf", original, "Q4_0")
    except ImportError:
        print("no package gguf: its cases are left out")


def _random_codes(weights: dict, kind: str) -> dict:
    """The tensors of bitsandbytes' nf4 or ComfyUI's nvfp4 with any numbers in them."""
    import torch
    import writers

    out = {}
    for name, weight in weights.items():
        if not writers.is_matrix(name, weight):
            out[name] = weight
            continue
        rows, columns = weight.shape
        stem = name.removesuffix(".weight")
        out[name] = torch.randint(256, (rows, columns // 2), dtype=torch.uint8)
        if kind == "nf4":
            state = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [rows, columns]}
            out[name] = out[name].reshape(-1, 1)
            out[name + ".absmax"] = torch.rand(rows * columns // 64)
            out[name + ".quant_map"] = torch.tensor(writers.NF4)
            out[name + ".quant_state.bitsandbytes__nf4"] = _text(state)
        else:
            out[stem + ".weight_scale"] = torch.ones(-(-rows // 128) * 128, columns // 16).to(torch.float8_e4m3fn)
            out[stem + ".weight_scale_2"] = torch.ones(())
            out[stem + ".comfy_quant"] = _text({"format": "nvfp4"})
    return out


def _torchao(weights: dict, kind: str) -> tuple[dict, dict]:
    """torchao's tensors and metadata of int8 in rows or int4 in blocks of 128, with any numbers in them."""
    import torch
    import writers

    out, metadata = {}, {}
    for name, weight in weights.items():
        if not writers.is_matrix(name, weight):
            out[name] = weight
            continue
        (rows, columns), stem = weight.shape, name.removesuffix("weight") + "_weight_"
        few = kind == "Int4Tensor"
        block = 64 if few and columns % 128 else 128 if few else columns
        shape = (columns // block, rows) if few else (rows, 1)
        own = torch.bfloat16 if few else torch.int8
        out[stem + "qdata"] = torch.randint(-128, 128, (rows, columns // (1 + few)), dtype=torch.int8)
        out[stem + "scale"] = torch.rand(shape, dtype=torch.bfloat16 if few else torch.float32)
        out[stem + "zero_point"] = torch.zeros(shape, dtype=own)
        metadata[name] = json.dumps({"_type": kind, "_data": {"block_size": [1, block]}})
    return out, metadata


def _nunchaku(weights: dict) -> dict:
    """The tensors of SVDQuant's int4 of rank 32 with any numbers in them."""
    import torch
    import writers

    out, half = {}, torch.bfloat16
    for name, weight in weights.items():
        out[name] = weight
        if writers.is_matrix(name, weight):
            (rows, columns), stem = weight.shape, name.removesuffix("weight")
            del out[name]
            out[stem + "qweight"] = torch.randint(-128, 128, (rows, columns // 2), dtype=torch.int8)
            out[stem + "wscales"] = torch.rand(columns // 64, rows, dtype=half)
            out[stem + "smooth_factor"] = torch.ones(columns, dtype=half)
            out[stem + "proj_down"], out[stem + "proj_up"] = (
                torch.rand(side, 32, dtype=half) for side in (columns, rows)
            )
    return out


def _text(content: dict):
    import torch

    return torch.tensor(list(json.dumps(content).encode()), dtype=torch.uint8)


def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure(path: Path, dtype_name: str, keep: bool) -> dict:
    """One case, in this process."""
    import diffusers
    import torch
    from storefront.studio.opening.models import ModelFiles, describe

    diffusers.FluxTransformer2DModel  # noqa: B018, the same
    component = describe(ModelFiles(path, (), None)).transformer
    if keep and path.suffix == ".gguf":
        import gguf  # noqa: F401
        from diffusers.quantizers.gguf import utils  # noqa: F401
    before = resident()
    module = component.load(getattr(torch, dtype_name), keep)
    weights = [tensor for tensor in module.state_dict().values()]
    for tensor in weights:
        tensor.flatten()[:: resource.getpagesize() // tensor.element_size()].clone()
    size = sum(tensor.nbytes for tensor in weights)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"weights": size, "peak": peak - before, "after": resident() - before}


def main() -> None:
    if len(sys.argv) > 1:
        import_pack()
        path, dtype_name, keep = sys.argv[1:]
        print(json.dumps(measure(Path(path), dtype_name, keep == "True")))
        return
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            [sys.executable, "-c", _BUILD.format(folder=scratch, bench=str(Path(__file__).parent))], check=True
        )
        for name, file, dtype_name, keep in CASES:
            path = Path(scratch) / file
            if not path.exists():
                continue
            command = [sys.executable, __file__, str(path), dtype_name, str(keep)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            out = json.loads(done.stdout.splitlines()[-1])
            ratio = out["peak"] / out["weights"]
            print(f"{name:36} weights {out['weights'] / 1e9:.2f} GB, peak {ratio:.2f} x")


_BUILD = """
import sys
sys.path.insert(0, {bench!r})
import loading
from pathlib import Path
loading.build(Path({folder!r}))
"""

if __name__ == "__main__":
    main()
