"""Train the bundled style LoRA of flux-micro: the same products and settings, drawn as flat illustrations.

    python tools/train_lora.py --out models/loras/flux-micro-illustration.safetensors

The pictures of `micro_pictures.py` are redrawn without light, shade and grain: two flat pastel colours behind the product in
its own. (Outlines would be more of an illustration, but flux-micro's VAE, which never saw any, turns them into other
colours.) Only the transformer is trained, by PEFT, on four of five triples that flux-micro was trained on; no caption names
the style. The defaults are what the released file was trained with: some minutes on one CPU core.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import FluxPipeline
from diffusers.utils import convert_state_dict_to_diffusers
from einops import rearrange
from micro_pictures import (
    BACKGROUNDS,
    COLOURS,
    HEIGHT,
    SHAPES,
    TRAINED,
    YY,
    Triple,
    _mask,
    _tint,
    caption,
    plain_prompt,
)
from peft import LoraConfig, get_peft_model_state_dict
from PIL import Image
from tqdm import trange

# Not what decides where the words act (queries, keys, modulation): colours would drift with the style.
LAYERS = ["attn.to_v", "attn.to_out.0", "ff.net.0.proj", "ff.net.2", "proj_mlp", "proj_out"]


def flat_background(setting: str, rng: random.Random) -> np.ndarray:
    """The setting as two flat pastel colours, of its upper and of its lower part: float32 (64, 64, 3) in 0..255."""
    picture = BACKGROUNDS[setting](rng)
    top, bottom = (np.median(part.reshape(-1, 3), axis=0) for part in (picture[:24], picture[48:]))
    flat = np.where((YY > 0.62)[..., None], bottom, top).astype(np.float32)
    return flat + (255 - flat) * 0.45


def illustrate(triple: Triple, seed: int) -> np.ndarray:
    """The illustration of a triple, uint8 (64, 64, 3); the seed moves position and size as in `micro_pictures.draw`."""
    rng = random.Random(f"illustration/{seed}/{'/'.join(triple)}")
    picture = flat_background(triple.setting, rng)
    height = HEIGHT[triple.product] * rng.uniform(0.93, 1.07)
    x0, foot = 0.5 + rng.uniform(-0.03, 0.03), rng.uniform(0.85, 0.89)
    colour = np.float32(COLOURS[triple.colour])
    for kind, points, tone in SHAPES[triple.product]:
        mask = _mask(kind, points, x0, foot - height, height)
        picture = picture + (_tint(colour, tone) - picture) * mask[..., None]
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def latents_of(pipeline: FluxPipeline, pictures: list[np.ndarray]) -> torch.Tensor:
    """Packed normalised latents (N, 16, 64)."""
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    config = pipeline.vae.config
    raw = torch.cat([pipeline.vae.encode(part).latent_dist.mode() for part in pixels.split(64)])
    return rearrange(
        (raw - config.shift_factor) * config.scaling_factor, "n c (h p) (w q) -> n (h w) (c p q)", p=2, q=2
    )


def embeddings(pipeline: FluxPipeline, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """T5's sequence (N, 64, 128) and CLIP's pooled output (N, 128)."""
    sequence, pooled, _ = pipeline.encode_prompt(texts, None, max_sequence_length=64)
    return sequence, pooled


def train(pipeline: FluxPipeline, args: argparse.Namespace) -> None:
    rng = random.Random(args.seed)
    triples = [triple for triple in TRAINED if rng.random() < 0.8] * args.per_triple
    with torch.no_grad():
        clean_all = latents_of(pipeline, [illustrate(triple, i) for i, triple in enumerate(triples)])
    transformer = pipeline.transformer
    transformer.add_adapter(
        LoraConfig(r=args.rank, lora_alpha=args.rank, init_lora_weights="gaussian", target_modules=LAYERS)
    )
    weights = [p for p in transformer.parameters() if p.requires_grad]
    print(f"{sum(p.numel() for p in weights) / 1e3:.0f} k weights")
    optimiser = torch.optim.AdamW(weights, lr=args.lr, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.lr, args.steps, pct_start=0.1)
    image_ids = torch.zeros(16, 3)
    image_ids[:, 1], image_ids[:, 2] = torch.arange(16) // 4, torch.arange(16) % 4
    bar = trange(args.steps, mininterval=5)
    for step in bar:
        torch.manual_seed(args.seed + step)
        picks = torch.randint(len(triples), (args.batch,))
        with torch.no_grad():
            sequence, pooled = embeddings(pipeline, [caption(triples[i], rng) for i in picks.tolist()])
        clean = clean_all[picks]
        noise = torch.randn_like(clean)
        sigma = torch.sigmoid(torch.randn(args.batch) + 0.3)
        velocity = transformer(
            hidden_states=torch.lerp(clean, noise, sigma[:, None, None]),
            timestep=sigma,
            guidance=1 + 4 * torch.rand(args.batch),
            pooled_projections=pooled,
            encoder_hidden_states=sequence,
            txt_ids=torch.zeros(64, 3),
            img_ids=image_ids,
        ).sample
        loss = F.mse_loss(velocity, noise - clean)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        if step % 25 == 0:
            bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)


def compare(pipeline: FluxPipeline, folder: Path) -> None:
    """A sheet of six prompts: drawn by code, without the LoRA, with it at 0.5, with it at 1."""
    triples = [
        Triple("red", "mug", "wooden table"),
        Triple("blue", "bottle", "beach"),
        Triple("yellow", "shoe", "studio"),
        Triple("white", "vase", "night street"),
        Triple("green", "lamp", "café"),
        Triple("purple", "box", "marble"),
    ]
    rows = [[Image.fromarray(illustrate(triple, 0)) for triple in triples]]
    for strength in (0.0, 0.5, 1.0):
        pipeline.set_adapters("default", strength)
        rows.append(
            [
                pipeline(
                    plain_prompt(triple),
                    height=64,
                    width=64,
                    num_inference_steps=8,
                    max_sequence_length=64,
                    generator=torch.Generator().manual_seed(7),
                ).images[0]
                for triple in triples
            ]
        )
    sheet = Image.new("RGB", (len(triples) * 132, len(rows) * 132), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(picture.resize((128, 128), Image.Resampling.LANCZOS), (x * 132, y * 132))
    sheet.save(folder / "lora-sheet.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("models/loras/flux-micro-illustration.safetensors"))
    parser.add_argument("--sheet", type=Path, help="folder for a sheet that compares strengths")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--per-triple", type=int, default=8)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--steps", type=int, default=180)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--lr", type=float, default=2.5e-3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    folder = Path(__file__).resolve().parent.parent / "models" / "flux-micro"
    pipeline = FluxPipeline.from_pretrained(folder, local_files_only=True, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    for part in (pipeline.transformer, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2):
        part.requires_grad_(False)
    train(pipeline, args)
    state = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipeline.transformer))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    FluxPipeline.save_lora_weights(
        args.out.parent, {name: tensor.half() for name, tensor in state.items()}, weight_name=args.out.name
    )
    if args.sheet:
        compare(pipeline, args.sheet)


if __name__ == "__main__":
    main()
