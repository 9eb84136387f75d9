"""Every family inside a ComfyUI process: `python tests/host/inside_families.py COMFYUI_FOLDER` prints JSON.

Run by test_families.py, on the tiny random pipelines of tests/studio/tiny.py, opened as a user's folders are.
"""

from __future__ import annotations

import json

import comfy_process

import comfy.model_management as mm
import node_helpers
import nodes
import torch
import tiny
from storefront.host import clip_socket, model_files, sampling, vae_socket
from storefront.studio.errors import InputError
from storefront.studio.flux import noise
from storefront.studio.flux.pipeline import FluxStudio

CPU = torch.device("cpu")
PROMPT = "서울의 밤, a blue lamp"
SEED, STEPS = 7, 3


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


def half_resident(patcher, compute) -> float:
    """How far a module with half of its weights resident computes from the whole one."""
    mm.load_models_gpu([patcher])
    whole = compute()
    mm.unload_all_models()
    patcher.load(device_to=CPU, lowvram_model_memory=patcher.model_size() // 2)
    resident = patcher.loaded_size() / patcher.model_size()
    assert 0 < resident < 1, resident
    half = compute()
    patcher.unpatch_model(CPU)
    return difference(whole, half)


def streamed(call, arguments) -> str:
    """Inputs on a GPU, weights on the CPU, as partial loading leaves them: the device of the result, or the error."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    def on_gpu(value):
        if isinstance(value, torch.Tensor):
            return torch.zeros(value.shape, dtype=value.dtype, device="cuda")
        return [on_gpu(v) for v in value] if isinstance(value, list) else value

    with FakeTensorMode(allow_non_fake_inputs=True):
        try:
            return call(**{name: on_gpu(value) for name, value in arguments.items()}).device.type
        except Exception as error:
            return f"{type(error).__name__}: {error}"[-300:]


class Family:
    def __init__(self, name: str):
        folder = comfy_process.BASE / "models" / "diffusers" / name
        tiny.BUILDERS[name](folder)
        self.name = name
        self.loaded, checkpoint = model_files.load(name, "fp32")
        self.family, self.edition = checkpoint.family, checkpoint.edition
        self.studio = FluxStudio.load(folder)
        (self.conditioning,), _ = clip_socket.encode_prompts(self.loaded.clip, [(PROMPT, PROMPT)], 0)
        (self.negative,), _ = clip_socket.encode_prompts(self.loaded.clip, [("", "")], 0)
        generator = torch.Generator().manual_seed(1)
        self.photo = torch.rand(1, 64, 96, 3, generator=generator)
        self.latent = self.loaded.vae.encode(self.photo)
        self.guidance = 4.0

    def normalised(self, latent: torch.Tensor) -> torch.Tensor:
        return (latent - self.family.shift_factor) * self.family.scaling_factor

    def sample(self, latent, conditioning=None, **settings) -> torch.Tensor:
        options = {"seed": SEED, "steps": STEPS, "guidance": self.guidance, "cfg": 1.0, "strength": 1.0}
        options |= {"time_limit": 0} | settings
        out, _ = sampling.sample(
            self.loaded.model, [conditioning or self.conditioning], [self.negative], latent, **options
        )
        return self.normalised(out["samples"])

    def loop(self, latents, **settings) -> torch.Tensor:
        """The Python API's, which test_families.py of tests/studio holds to diffusers."""
        cfg = settings.get("cfg", 1.0)
        negative = self.studio.encode([""]) if cfg > 1 else None
        return self.studio.sample(
            self.studio.encode([PROMPT]),
            latents,
            seed=SEED,
            steps=STEPS,
            guidance=self.guidance,
            negative=negative,
            **settings,
        )

    def beside(self) -> tuple[list, dict]:
        """Conditioning as stock nodes make it for Fill and Control, and the loop's settings for the same."""
        if not self.edition.beside_noise:
            return self.conditioning, {}
        shown = {"concat_latent_image": self.latent}
        seen = self.normalised(self.latent)
        if self.edition.beside_noise > 16:
            pixels = torch.zeros(1, 1, *self.photo.shape[1:3])
            pixels[..., 16:48, 32:64] = 1
            # InpaintModelConditioning hands the mask over in pixels, the sampler the size of the latent.
            cells = torch.nn.functional.interpolate(pixels, size=self.latent.shape[-2:])
            shown["concat_mask"] = cells
            large = torch.nn.functional.interpolate(cells, scale_factor=8)
            rows, columns = self.latent.shape[-2:]
            packed = large.reshape(1, rows, 8, columns, 8).permute(0, 2, 4, 1, 3).flatten(1, 2)
            seen = torch.cat([seen, packed], dim=1)
        return node_helpers.conditioning_set_values([self.conditioning], shown)[0], {"beside": seen}

    def equality(self) -> dict:
        conditioning, more = self.beside()
        empty = torch.zeros_like(self.latent)
        start = self.normalised(self.latent)
        pixels = torch.zeros(1, *self.photo.shape[1:3])
        pixels[:, 16:48, 32:64] = 1
        mask = noise.latent_mask(pixels, *self.latent.shape[-2:], self.family)
        blank = torch.zeros_like(self.latent)
        out = {
            "text": difference(
                self.sample({"samples": empty}, conditioning), self.loop(self.normalised(empty) * 0, **more)
            ),
            "strength": difference(
                self.sample({"samples": self.latent}, conditioning, strength=0.7),
                self.loop(start, strength=0.7, **more),
            ),
            "mask": difference(
                self.sample({"samples": self.latent, "noise_mask": pixels}, conditioning),
                self.loop(start, mask=mask, **more),
            ),
            "cfg": difference(self.sample({"samples": empty}, conditioning, cfg=4.0), self.loop(blank, cfg=4.0, **more))
            if not self.edition.beside_noise
            else 0.0,  # the negative would want the picture too
        }
        if self.edition.takes_references:
            other = self.loaded.vae.encode(torch.rand(1, 80, 112, 3, generator=torch.Generator().manual_seed(2)))
            looking = self.conditioning
            for latent in (self.latent, other):  # as the stock ReferenceLatent node does
                values = {"reference_latents": [latent]}
                looking = node_helpers.conditioning_set_values([looking], values, append=True)[0]
            seen = [start, self.normalised(other)]
            out["references"] = difference(self.sample({"samples": empty}, looking), self.loop(blank, references=seen))
            out["references are seen"] = difference(self.sample({"samples": empty}, looking), self.loop(blank))
        decoded, _ = vae_socket.decode(self.loaded.vae, self.latent, "off")
        out["decode"] = difference(decoded, self.studio.decode(start))
        return out

    def stock(self) -> dict:
        """Stock nodes on our sockets."""
        conditioning, _ = self.beside()
        (text,) = nodes.CLIPTextEncode().encode(self.loaded.clip, PROMPT)
        (sampled,) = nodes.KSampler().sample(
            self.loaded.model, 1, 2, 1.0, "euler", "simple", [conditioning], [conditioning], {"samples": self.latent}
        )
        (picture,) = nodes.VAEDecode().decode(self.loaded.vae, sampled)
        (tiled,) = nodes.VAEDecodeTiled().decode(self.loaded.vae, sampled, 64, 16)
        (encoded,) = nodes.VAEEncode().encode(self.loaded.vae, self.photo)
        canvas = {"samples": torch.zeros(1, 16, 8, 12), "downscale_ratio_spacial": 8}
        return {
            "text": difference(text[0][0], self.conditioning[0]),
            "finite": bool(sampled["samples"].isfinite().all()),
            "picture": list(picture.shape),
            "tiled": list(tiled.shape),
            "encoded": difference(encoded["samples"], self.latent),
            "canvas": list(
                sampling.sample(
                    self.loaded.model,
                    [conditioning],
                    None,
                    canvas,
                    seed=0,
                    steps=1,
                    guidance=-1,
                    cfg=1.0,
                    strength=1.0,
                    time_limit=0,
                )[0]["samples"].shape
            ),
        }

    def batch(self) -> dict:
        """Two prompts of different length in one run against each alone."""
        texts = ["a mug", "a very long sentence about a lamp at the beach at night"]
        if self.edition.beside_noise:
            return {"difference": 0.0}
        (both,), _ = clip_socket.encode_prompts(self.loaded.clip, [(t, t) for t in texts], 0)
        empty = {"samples": torch.zeros_like(self.latent)}
        together = self.sample(empty, both)
        alone = []
        for index, text in enumerate(texts):
            (one,), _ = clip_socket.encode_prompts(self.loaded.clip, [(text, text)], 0)
            alone.append(self.sample(empty, one, seed=SEED + index))
        return {"difference": difference(together, torch.cat(alone))}

    @torch.no_grad()
    def memory(self) -> dict:
        conditioning, _ = self.beside()
        sequence, options = conditioning
        model = self.loaded.model.model
        seen = self.normalised(self.latent)
        if self.edition.beside_noise:
            seen = torch.cat([seen, torch.zeros(1, self.edition.beside_noise, *seen.shape[2:])], dim=1)
        arguments = {"x": seen, "timestep": torch.tensor([0.7]), "context": sequence}
        arguments["guidance"] = torch.tensor([3.5])
        for name, key in (("y", "pooled_output"), ("attention_mask", "attention_mask")):
            if options.get(key) is not None:
                arguments[name] = options[key]
        if self.edition.takes_references:
            arguments["ref_latents"] = [self.normalised(self.latent)]
        encoders, tokens = self.loaded.clip.cond_stage_model, self.loaded.clip.tokenize(PROMPT)
        decoder = self.loaded.vae.first_stage_model
        moved = {"vae": (decoder.decode, {"latents": self.latent})}
        # A mask picks each text's own tokens by its values, which fake tensors do not have.
        moved["transformer"] = (model.diffusion_model, {**arguments, "attention_mask": None})
        return {
            "half": {
                "MODEL": half_resident(self.loaded.model, lambda: model.diffusion_model(**arguments)),
                "CLIP": half_resident(self.loaded.clip.patcher, lambda: encoders.encode_token_weights(tokens)[0]),
                "VAE": half_resident(self.loaded.vae.patcher, lambda: decoder.decode(self.latent)),
            },
            "streamed": {name: streamed(*call) for name, call in moved.items()},
        }

    def refusals(self) -> dict:
        def outcome(**changes) -> str:
            try:
                self.sample(**({"latent": {"samples": self.latent}} | changes))
            except InputError as error:
                return str(error)
            return ""

        sequence, options = self.conditioning
        narrow = [sequence[..., :-1], options]
        wrong = [sequence, {**options, "reference_latents": [torch.zeros(1, 5, 4, 4)]}]
        return {
            "width": outcome(conditioning=narrow),
            "references": outcome(conditioning=wrong),
            "channels": outcome(latent={"samples": torch.ones(1, 5, 4, 4)}),
            "nothing beside": outcome() if self.edition.beside_noise else "not asked",
        }


def measure(name: str) -> dict:
    family = Family(name)
    return {
        "equality": family.equality(),
        "stock": family.stock(),
        "batch": family.batch(),
        "memory": family.memory(),
        "refusals": family.refusals(),
    }


# Two of the builders differ in a default or two from another: tests/studio/test_families.py holds those.
NAMES = [name for name in tiny.BUILDERS if name not in ("FLUX.2 klein base", "Z-Image")]
print("FIGURES " + json.dumps({name: measure(name) for name in NAMES}))
