"""Train flux-micro, a miniature FLUX.1 in the diffusers layout, from nothing.

    python tools/train_micro.py all --work-dir micro-work --out models/flux-micro

Stages: `vae` (pictures -> latents), `flow` (captions and noise -> latents), `export` (write the pipeline), `all`.
Every stage resumes from its checkpoint in the work folder.  The defaults are what the released model was trained with:
12 minutes of vae and 11 of flow on two CPU cores.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import random
import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from einops import rearrange
from micro_pictures import HELD_OUT, SIZE, TRIPLES, Triple, caption, draw
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tqdm import trange
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5TokenizerFast

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SCALING, SHIFT = 0.3611, 0.1159  # FLUX.1's latent normalisation: (latent - SHIFT) * SCALING is about N(0, 1)
LATENT_NOISE = 0.1  # std of the VAE's posterior in training, against latents of std about 1
EXPORT_LOGVAR = -12.0  # the exported posterior's constant log variance: sample and mode are alike

# --- pictures ---------------------------------------------------------------------------------------------------------


def _draw(job: tuple[Triple, int]) -> np.ndarray:
    return draw(*job)


def picture_pool(work: Path, per_triple: int) -> tuple[torch.Tensor, list[Triple]]:
    """(N, 3, 64, 64) uint8 pictures and their triples, drawn once and cached in the work folder."""
    jobs = [(triple, seed) for seed in range(per_triple) for triple in TRIPLES]
    cache = work / f"pool-{per_triple}.npy"
    if not cache.exists():
        with multiprocessing.Pool() as workers:
            np.save(cache, np.stack(workers.map(_draw, jobs, chunksize=64)))
    return torch.from_numpy(np.load(cache)).permute(0, 3, 1, 2), [triple for triple, _ in jobs]


def to_float(pictures: torch.Tensor) -> torch.Tensor:
    """uint8 0..255 -> float32 -1..1 on the training device."""
    return pictures.to(DEVICE).float() / 127.5 - 1


# --- checkpoints ------------------------------------------------------------------------------------------------------


def save_checkpoint(path: Path, **state) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)  # an interrupted save leaves the old checkpoint whole


def load_checkpoint(path: Path) -> dict | None:
    return torch.load(path, map_location=DEVICE, weights_only=True) if path.exists() else None


# --- VAE --------------------------------------------------------------------------------------------------------------


def build_vae() -> AutoencoderKL:
    """FLUX.1's VAE, narrow: 8x down, 16 latent channels, four levels."""
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 16, 32, 64),
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=4,
        sample_size=SIZE,
        scaling_factor=SCALING,
        shift_factor=SHIFT,
        use_quant_conv=False,
        use_post_quant_conv=False,
        mid_block_add_attention=False,
    )
    # Residual branches start at zero, so that the first steps train the plain path through the net.
    for name, parameter in vae.named_parameters():
        if ".conv2." in name:
            torch.nn.init.zeros_(parameter)
    return vae


def vae_loss(vae: AutoencoderKL, pictures: torch.Tensor) -> torch.Tensor:
    """Reconstruction at full and quarter size, and the mean's share of the KL term (the variance is fixed)."""
    mean = vae.encode(pictures).latent_dist.mean
    restored = vae.decode(mean + LATENT_NOISE * torch.randn_like(mean)).sample
    coarse = F.l1_loss(F.avg_pool2d(restored, 4), F.avg_pool2d(pictures, 4))
    return F.l1_loss(restored, pictures) + F.mse_loss(restored, pictures) + coarse + 1e-3 * mean.square().mean()


def train_vae(args: argparse.Namespace) -> None:
    pictures, _ = picture_pool(args.work_dir, args.per_triple)
    torch.manual_seed(args.seed)
    vae = build_vae().to(DEVICE).train()
    optimiser = torch.optim.AdamW(vae.parameters(), lr=args.vae_lr, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.vae_lr, args.vae_steps, pct_start=0.1)
    path, first = args.work_dir / "vae.pt", 0
    if state := load_checkpoint(path):
        vae.load_state_dict(state["vae"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        first = state["step"]
    bar = trange(first, args.vae_steps, initial=first, total=args.vae_steps, desc="vae", mininterval=5)
    for step in bar:
        torch.manual_seed(args.seed + step)  # a resumed run sees the same batches and noise
        loss = vae_loss(vae, to_float(pictures[torch.randint(len(pictures), (args.vae_batch,))]))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
        if (step + 1) % 500 == 0 or step + 1 == args.vae_steps:
            save_checkpoint(path, vae=vae.state_dict(), optimiser=optimiser.state_dict(),
                            schedule=schedule.state_dict(), step=step + 1)  # fmt: skip


@torch.no_grad()
def vae_whitened(work: Path, pictures: torch.Tensor) -> AutoencoderKL:
    """The trained VAE with a per-channel whitening folded in: raw latents get mean SHIFT and std 1 / SCALING."""
    vae = build_vae().to(DEVICE).eval().requires_grad_(False)
    vae.load_state_dict(load_checkpoint(work / "vae.pt")["vae"])
    sample = torch.cat([vae.encode(to_float(batch)).latent_dist.mean for batch in pictures[:2048].split(64)])
    mean, std = sample.mean((0, 2, 3)), sample.std((0, 2, 3))
    gain = 1 / (std * SCALING)
    out, into = vae.encoder.conv_out, vae.decoder.conv_in
    out.weight[:16] *= gain[:, None, None, None]
    out.bias[:16] = (out.bias[:16] - mean) * gain + SHIFT
    out.weight[16:], out.bias[16:] = 0, EXPORT_LOGVAR
    # The inverse map.  Only the zero padding at the border sees a difference, and the KL term keeps the mean near zero.
    into.bias += torch.einsum("oikl,i->o", into.weight, mean - SHIFT / gain)
    into.weight /= gain[None, :, None, None]
    return vae


@torch.no_grad()
def encode(vae: AutoencoderKL, pictures: torch.Tensor) -> torch.Tensor:
    """(N, 3, 64, 64) uint8 -> normalised latents (N, 16, 8, 8), about N(0, 1)."""
    modes = [vae.encode(to_float(batch)).latent_dist.mode() for batch in pictures.split(64)]
    return (torch.cat(modes) - SHIFT) * SCALING


# --- tokenizers -------------------------------------------------------------------------------------------------------


def caption_corpus() -> list[str]:
    rng = random.Random(0)
    return [caption(triple, rng, korean_share=0.4) for triple in TRIPLES for _ in range(30)]


def build_clip_tokenizer() -> CLIPTokenizer:
    """Byte-level BPE over the captions: any text is encoded, the captions' words as single tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    start, end = "<|startoftext|>", "<|endoftext|>"
    bytes_only = alphabet + [symbol + "</w>" for symbol in alphabet] + [start, end]
    blank = CLIPTokenizer(vocab={token: i for i, token in enumerate(bytes_only)}, merges=[]).backend_tokenizer
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    bpe.normalizer, bpe.pre_tokenizer = blank.normalizer, blank.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=1500, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    bpe.train_from_iterator(caption_corpus(), trainer)
    trained = json.loads(bpe.to_str())["model"]
    tokens = list(trained["vocab"])
    tokens += [symbol + "</w>" for symbol in alphabet if symbol + "</w>" not in trained["vocab"]] + [start, end]
    merges = [tuple(pair) for pair in trained["merges"]]
    return CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=merges, model_max_length=77)


def build_t5_tokenizer() -> T5TokenizerFast:
    """Unigram over the captions' words and characters; other characters become <unk> (CLIP still has their bytes)."""
    corpus = caption_corpus()
    counts = Counter("▁" + word for text in corpus for word in re.findall(r"\w+", text))
    total = sum(counts.values())
    characters = sorted({chr(code) for code in range(33, 127)} | set("".join(corpus)) - {" "})
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -6.0)]
    pieces += [(character, -12.0) for character in characters]
    pieces += [(word, math.log(count / total)) for word, count in sorted(counts.items())]
    return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=64)


# --- flow -------------------------------------------------------------------------------------------------------------


class Micro(torch.nn.Module):
    """The two text encoders and the transformer, trained together."""

    def __init__(self, clip_tokenizer: CLIPTokenizer, t5_tokenizer: T5TokenizerFast):
        super().__init__()
        self.clip_tokenizer, self.t5_tokenizer = clip_tokenizer, t5_tokenizer
        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(clip_tokenizer), hidden_size=128, intermediate_size=256, projection_dim=128,
                num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=77,
                bos_token_id=clip_tokenizer.bos_token_id, eos_token_id=clip_tokenizer.eos_token_id,
                pad_token_id=clip_tokenizer.pad_token_id,
            )
        )  # fmt: skip
        self.text_encoder_2 = T5EncoderModel(
            T5Config(
                vocab_size=len(t5_tokenizer), d_model=128, d_kv=32, d_ff=256, num_layers=2, num_heads=4,
                dropout_rate=0.0, feed_forward_proj="gated-gelu", is_encoder_decoder=False, use_cache=False,
            )
        )  # fmt: skip
        self.transformer = FluxTransformer2DModel(
            patch_size=1, in_channels=64, num_layers=2, num_single_layers=4, attention_head_dim=128,
            num_attention_heads=1, joint_attention_dim=128, pooled_projection_dim=128, guidance_embeds=True,
            axes_dims_rope=(16, 56, 56),
        )  # fmt: skip
        # As in DiT: every block starts as the identity and the output as zero, which trains far faster.
        for name, parameter in self.transformer.named_parameters():
            if ("norm" in name and ".linear." in name) or name.startswith("proj_out"):
                torch.nn.init.zeros_(parameter)

    def forward(self, x: torch.Tensor, sigma: torch.Tensor, guidance: torch.Tensor, texts: list[str], t5_length: int):
        """Velocity (N, 16, 64) of packed latents x (N, 16, 64) at noise level sigma (N,) in 0..1."""
        # CLIP's attention is causal and it pools at the end token: padding beyond the longest caption changes nothing.
        clip = self.clip_tokenizer(texts, padding=True, truncation=True, max_length=77, return_tensors="pt")
        pooled = self.text_encoder(clip.input_ids.to(x.device)).pooler_output
        t5 = self.t5_tokenizer(texts, padding="max_length", truncation=True, max_length=t5_length, return_tensors="pt")
        words = self.text_encoder_2(t5.input_ids.to(x.device)).last_hidden_state  # no mask: FluxPipeline passes none
        side = math.isqrt(x.shape[1])
        image_ids = torch.zeros(side, side, 3, device=x.device)
        image_ids[..., 1] += torch.arange(side, device=x.device)[:, None]
        image_ids[..., 2] += torch.arange(side, device=x.device)[None, :]
        return self.transformer(
            hidden_states=x, timestep=sigma, guidance=guidance, pooled_projections=pooled, encoder_hidden_states=words,
            txt_ids=torch.zeros(t5_length, 3, device=x.device), img_ids=image_ids.reshape(-1, 3),
        ).sample  # fmt: skip


def train_flow(args: argparse.Namespace) -> None:
    pictures, triples = picture_pool(args.work_dir, args.per_triple)
    held_out = set(HELD_OUT)
    keep = [i for i, triple in enumerate(triples) if triple not in held_out]
    latents = encode(vae_whitened(args.work_dir, pictures), pictures[keep])
    latents = rearrange(latents, "n c (h p) (w q) -> n (h w) (c p q)", p=2, q=2)
    triples = [triples[i] for i in keep]

    torch.manual_seed(args.seed)
    model = Micro(build_clip_tokenizer(), build_t5_tokenizer()).to(DEVICE).train()
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.flow_lr, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.flow_lr, args.flow_steps, pct_start=0.1)
    path, first = args.work_dir / "flow.pt", 0
    if state := load_checkpoint(path):
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        first = state["step"]
    bar = trange(first, args.flow_steps, initial=first, total=args.flow_steps, desc="flow", mininterval=5)
    for step in bar:
        torch.manual_seed(args.seed + step)
        rng = random.Random(args.seed + step)
        picks = torch.randint(len(latents), (args.flow_batch,))
        # One caption in ten is empty, for true classifier-free guidance.
        texts = ["" if rng.random() < 0.1 else caption(triples[i], rng) for i in picks.tolist()]
        clean = latents[picks]
        noise = torch.randn_like(clean)
        sigma = torch.sigmoid(torch.randn(len(picks), device=DEVICE) + 0.3)
        noisy = torch.lerp(clean, noise, sigma[:, None, None])
        guidance = 1 + 4 * torch.rand(len(picks), device=DEVICE)  # any value must do: the model is not distilled
        t5_length = 64 if rng.random() < 0.2 else 32  # the encoder sees its padding, so it must know both lengths
        loss = F.mse_loss(model(noisy, sigma, guidance, texts, t5_length), noise - clean)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        average.update_parameters(model)
        if step % 25 == 0:
            bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
        if (step + 1) % 200 == 0 or step + 1 == args.flow_steps:
            save_checkpoint(path, model=model.state_dict(), average=average.state_dict(),
                            optimiser=optimiser.state_dict(), schedule=schedule.state_dict(), step=step + 1)  # fmt: skip


# --- export -----------------------------------------------------------------------------------------------------------


def latent_preview(latents: torch.Tensor, pictures: torch.Tensor) -> dict:
    """The least-squares map from a normalised latent pixel to RGB in -1..1, in ComfyUI's names."""
    colours = rearrange(F.avg_pool2d(to_float(pictures), 8), "n c h w -> (n h w) c")
    pixels = rearrange(latents, "n c h w -> (n h w) c")
    pixels = torch.cat([pixels, torch.ones(len(pixels), 1, device=pixels.device)], dim=1)
    factors = torch.linalg.lstsq(pixels, colours).solution.cpu()
    rounded = [[round(value, 5) for value in row] for row in factors.tolist()]
    return {"latent_rgb_factors": rounded[:-1], "latent_rgb_factors_bias": rounded[-1]}


def export(args: argparse.Namespace) -> None:
    """Write the pipeline in half precision into a temporary folder, then move its files into place."""
    pictures, _ = picture_pool(args.work_dir, args.per_triple)
    vae = vae_whitened(args.work_dir, pictures)
    preview = latent_preview(encode(vae, pictures[:1024]), pictures[:1024])
    model = Micro(build_clip_tokenizer(), build_t5_tokenizer())
    if state := load_checkpoint(args.work_dir / "flow.pt"):
        model.load_state_dict({k.removeprefix("module."): v for k, v in state["average"].items() if k != "n_averaged"})
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, shift=3.0, base_shift=0.5, max_shift=1.15,
            base_image_seq_len=256, max_image_seq_len=4096,
        ),
        vae=vae,
        text_encoder=model.text_encoder,
        tokenizer=model.clip_tokenizer,
        text_encoder_2=model.text_encoder_2,
        tokenizer_2=model.t5_tokenizer,
        transformer=model.transformer,
    )  # fmt: skip
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.work_dir) as folder:
        pipeline.to(dtype=torch.float16).save_pretrained(folder, safe_serialization=True)
        (Path(folder) / "latent_preview.json").write_text(json.dumps(preview, indent=2) + "\n")
        for source in sorted(Path(folder).rglob("*")):
            target = args.out / source.relative_to(folder)
            if source.is_dir():
                target.mkdir(exist_ok=True)
            else:
                shutil.move(source, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("vae", "flow", "export", "all"))
    parser.add_argument("--work-dir", type=Path, default=Path("micro-work"), help="checkpoints and the picture pool")
    parser.add_argument("--out", type=Path, default=Path("models/flux-micro"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--per-triple", type=int, default=24, help="pictures drawn of each of the 288 triples")
    parser.add_argument("--vae-steps", type=int, default=4000)
    parser.add_argument("--vae-batch", type=int, default=16)
    parser.add_argument("--vae-lr", type=float, default=3e-3)
    parser.add_argument("--flow-steps", type=int, default=1300)
    parser.add_argument("--flow-batch", type=int, default=64)
    parser.add_argument("--flow-lr", type=float, default=1.5e-3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    stages = {"vae": train_vae, "flow": train_flow, "export": export}
    for stage in stages if args.stage == "all" else [args.stage]:
        stages[stage](args)


if __name__ == "__main__":
    main()
