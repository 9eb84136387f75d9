"""Measure flux-micro on the 100 held-out (colour, product, setting) triples and draw its contact sheet.

    python tools/measure_micro.py

The judge is a small CNN that has seen drawn pictures only, never a generated one; its own accuracy is printed beside
the model's, on fresh drawings and on drawings that went through the VAE.
"""

from __future__ import annotations

import argparse
import itertools
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import FluxPipeline
from micro_pictures import COLOURS, HELD_OUT, PRODUCTS, SETTINGS, TRIPLES, Triple, draw, plain_prompt
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm, trange

CLASSES = (tuple(COLOURS), PRODUCTS, SETTINGS)  # in the order of Triple's fields
FRESH = 1_000_000  # seeds from here on are drawn for measuring only


def drawn(triples: list[Triple], first_seed: int) -> torch.Tensor:
    """(N, 3, 64, 64) drawings in -1..1."""
    pictures = np.stack([draw(triple, first_seed + i) for i, triple in enumerate(triples)])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def labels(triples: list[Triple]) -> torch.Tensor:
    """(N, 3) class numbers."""
    return torch.tensor([[names.index(v) for names, v in zip(CLASSES, t, strict=True)] for t in triples])


def augment(pictures: torch.Tensor) -> torch.Tensor:
    """Shift up to 4 px, blur or not, and add noise: what a generator's pictures suffer, so that the judge forgives it."""
    dy, dx = torch.randint(-4, 5, (2,)).tolist()
    pictures = F.pad(pictures, (4, 4, 4, 4), mode="replicate")[..., 4 + dy : 68 + dy, 4 + dx : 68 + dx]
    for _ in range(int(torch.randint(0, 4, ()))):
        pictures = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return pictures + torch.randn_like(pictures) * 0.15 * torch.rand(len(pictures), 1, 1, 1)


class Judge(nn.Module):
    """Pictures (N, 3, 64, 64) -> logits of colour, product and setting."""

    def __init__(self):
        super().__init__()
        widths = (3, 24, 48, 64, 96)
        self.body = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU())
                for a, b in itertools.pairwise(widths)
            ),
            nn.Flatten(),
            nn.Dropout(0.2),
        )
        self.heads = nn.ModuleList(nn.Linear(widths[-1] * 16, len(names)) for names in CLASSES)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        features = self.body(pictures)
        return [head(features) for head in self.heads]


def train_judge(steps: int) -> Judge:
    torch.manual_seed(1)
    rng = random.Random(1)
    judge = Judge().train()
    optimiser = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, steps)
    for step in trange(steps, desc="judge", mininterval=5):
        triples = rng.choices(TRIPLES, k=64)
        pictures, truth = augment(drawn(triples, 64 * step)), labels(triples)
        loss = sum(F.cross_entropy(logits, truth[:, i]) for i, logits in enumerate(judge(pictures)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return judge.eval()


@torch.no_grad()
def accuracy(judge: Judge, pictures: torch.Tensor, triples: list[Triple]) -> list[float]:
    """Per cent right: colour, product, setting, all three at once."""
    right = torch.stack([logits.argmax(1) for logits in judge(pictures)], dim=1) == labels(triples)
    return [100 * share for share in [*right.float().mean(0).tolist(), right.all(1).float().mean().item()]]


def generate(pipeline: FluxPipeline, prompts: list[str], steps: int) -> torch.Tensor:
    """(N, 3, 64, 64) in -1..1; seed = index of the prompt."""
    pictures = [
        pipeline(
            prompt, height=64, width=64, num_inference_steps=steps, guidance_scale=3.5, max_sequence_length=64,
            generator=torch.Generator("cpu").manual_seed(i), output_type="pt",
        ).images
        for i, prompt in enumerate(tqdm(prompts, desc="generate", mininterval=5))
    ]  # fmt: skip
    return torch.cat(pictures) * 2 - 1


def contact_sheet(pictures: torch.Tensor, triples: list[Triple], path: Path, columns: int = 8) -> None:
    """Pictures three times their size, labelled with their triples."""
    scale, label = 3, 18
    cell = 64 * scale
    rows = -(-len(triples) // columns)
    sheet = Image.new("RGB", (columns * cell, rows * (cell + label)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for i, (picture, triple) in enumerate(zip(pictures, triples, strict=True)):
        x, y = i % columns * cell, i // columns * (cell + label)
        pixels = ((picture.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        sheet.paste(Image.fromarray(pixels).resize((cell, cell), Image.Resampling.LANCZOS), (x, y))
        text = f"{triple.colour} {triple.product}, {triple.setting}".replace("é", "e")  # Pillow's own font has no é
        pen.text((x + 4, y + cell + 1), text, fill="black", font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/flux-micro"))
    parser.add_argument("--table", type=Path, default=Path("docs/flux-micro-measured.md"))
    parser.add_argument("--sheet", type=Path, default=Path("docs/flux-micro-contact-sheet.png"))
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--judge-steps", type=int, default=500)
    parser.add_argument("--judge-cache", type=Path, help="safetensors file that keeps the trained judge between runs")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    if args.judge_cache and args.judge_cache.exists():
        judge = Judge().eval()
        judge.load_state_dict(load_file(args.judge_cache))
    else:
        judge = train_judge(args.judge_steps)
        if args.judge_cache:
            save_file(judge.state_dict(), args.judge_cache)

    pipeline = FluxPipeline.from_pretrained(args.model, torch_dtype=torch.float32, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    held_out = list(HELD_OUT)
    fresh_triples = random.Random(2).choices(TRIPLES, k=576)
    fresh = drawn(fresh_triples, FRESH)
    with torch.no_grad():
        restored = torch.cat([pipeline.vae(batch).sample for batch in fresh.split(64)])
    english = generate(pipeline, [plain_prompt(triple) for triple in held_out], args.steps)
    korean = generate(pipeline, [plain_prompt(triple, korean=True) for triple in held_out], args.steps)
    rows = {
        f"held-out prompts, English (n={len(held_out)})": accuracy(judge, english, held_out),
        f"held-out prompts, Korean (n={len(held_out)})": accuracy(judge, korean, held_out),
        f"the judge on fresh drawings (n={len(fresh)})": accuracy(judge, fresh, fresh_triples),
        f"the judge on VAE round trips (n={len(fresh)})": accuracy(judge, restored, fresh_triples),
    }
    table = [
        f"{args.steps} steps, guidance 3.5, 64x64, seed = index, CPU, float32, max_sequence_length 64; per cent right.",
        "",
        "| | colour | product | setting | all three |",
        "|---|---|---|---|---|",
        *(f"| {name} | " + " | ".join(f"{value:.1f}" for value in values) + " |" for name, values in rows.items()),
        "",
    ]
    print("\n".join(table))
    args.table.parent.mkdir(parents=True, exist_ok=True)
    args.table.write_text("# flux-micro, measured by tools/measure_micro.py\n\n" + "\n".join(table), encoding="utf-8")
    # Forty of the held-out prompts at even distances, none picked by eye.
    shown = torch.linspace(0, len(held_out) - 1, 40).round().long()
    contact_sheet(english[shown], [held_out[i] for i in shown.tolist()], args.sheet)


if __name__ == "__main__":
    main()
