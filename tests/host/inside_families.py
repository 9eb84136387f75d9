"""Every family inside a ComfyUI process: `python tests/host/inside_families.py COMFYUI_FOLDER` prints JSON.

Run by test_families.py, on the tiny random pipelines of tests/studio/tiny.py, opened as a user's folders are.
"""

from __future__ import annotations

import dataclasses
import json

import comfy_process

import comfy.model_management as mm
import node_helpers
import nodes
import torch
import tiny
from safetensors.torch import save_file
from storefront.host import clip_socket, clip_vision, model_files, opening, prompt_encoding, sampling, vae_socket
from storefront.host import references as host_references
from storefront.studio import images
from storefront.studio.errors import InputError
from storefront.studio.sampling import noise, references
from storefront.studio.kinds.z_image import Z_IMAGE_OMNI
from storefront.studio.sampling.pipeline import FluxStudio
from storefront.studio.kinds.flux1 import unpack

CPU = torch.device("cpu")
PROMPT = "서울의 밤, a blue lamp"
SEED, STEPS = 7, 3


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


def refusal(call) -> str:
    try:
        call()
    except InputError as error:
        return str(error)
    return ""


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
        self.loaded = opening.load_model(name, "fp32")
        self.family, self.edition = self.loaded.description.family, self.loaded.description.edition
        self.studio = FluxStudio.load(folder)
        (self.conditioning,), _ = prompt_encoding.encode_prompts(self.loaded.clip, [(PROMPT, PROMPT)], 0)
        (self.negative,), _ = prompt_encoding.encode_prompts(self.loaded.clip, [("", "")], 0)
        generator = torch.Generator().manual_seed(1)
        self.photo = torch.rand(1, 64, 96, 3, generator=generator)
        self.latent = self.loaded.vae.encode(self.photo)
        self.guidance = 4.0

    def normalised(self, latent: torch.Tensor) -> torch.Tensor:
        return (latent - self.family.shift_factor) * self.family.scaling_factor

    def looking(self, conditioning, photos: list[torch.Tensor]):
        """Conditioning that looks at each photo, as stock ReferenceLatent or, for Z-Image Omni, StorefrontReference does."""
        for photo in photos:
            if self.family is Z_IMAGE_OMNI:
                add = host_references.add
                (conditioning,) = add([conditioning], self.loaded.vae, photo, references.OWN_SIZE, self.loaded.clip)
            else:
                values = {"reference_latents": [self.loaded.vae.encode(photo)]}
                conditioning = node_helpers.conditioning_set_values([conditioning], values, append=True)[0]
        return conditioning

    def sample(self, latent, conditioning=None, negative=None, **settings) -> torch.Tensor:
        options = {"seed": SEED, "steps": STEPS, "guidance": self.guidance, "cfg": 1.0, "strength": 1.0}
        options |= {"time_limit": 0} | settings
        out, _ = sampling.sample(
            self.loaded.model,
            [conditioning or self.conditioning],
            [negative or self.negative],
            latent,
            sampling.SamplerSettings(**options),
        )
        return self.normalised(out["samples"])

    def read(self, prompt: str, pictures: list[torch.Tensor]):
        """Text as the loop of the Python API wants it, which reads it otherwise beside pictures for Z-Image Omni alone."""
        if self.family is Z_IMAGE_OMNI:
            return self.studio.encode_with_pictures([prompt], pictures)
        return self.studio.encode([prompt])

    def loop(self, latents, **settings) -> torch.Tensor:
        """The Python API's, which test_families.py of tests/studio holds to diffusers."""
        cfg, pictures = settings.get("cfg", 1.0), settings.pop("pictures", [])
        return self.studio.sample(
            self.read(PROMPT, pictures),
            latents,
            seed=SEED,
            steps=STEPS,
            guidance=self.guidance,
            negative=self.read("", pictures) if cfg > 1 else None,
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
            photos = [self.photo, torch.rand(1, 80, 112, 3, generator=torch.Generator().manual_seed(2))]
            other = self.loaded.vae.encode(photos[1])
            looking, away = self.looking(self.conditioning, photos), self.looking(self.negative, photos)
            more = {"references": [start, self.normalised(other)], "pictures": photos}
            out["references"] = difference(self.sample({"samples": empty}, looking), self.loop(blank, **more))
            out["references are seen"] = difference(self.sample({"samples": empty}, looking), self.loop(blank))
            out["references and cfg"] = difference(
                self.sample({"samples": empty}, looking, away, cfg=4.0), self.loop(blank, cfg=4.0, **more)
            )
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
                    sampling.SamplerSettings(0, 1, cfg=1.0),
                )[0]["samples"].shape
            ),
        }

    def stock_omni_node(self) -> dict:
        """Stock TextEncodeZImageOmni on our sockets, without an image encoder; and stock ReferenceLatent, which is not enough."""
        from comfy_extras.nodes_zimage import TextEncodeZImageOmni

        blind = {"image1": self.photo, "auto_resize_images": False}
        ((entry,),) = TextEncodeZImageOmni.execute(self.loaded.clip, PROMPT, vae=self.loaded.vae, **blind).args
        empty = torch.zeros_like(self.latent)
        text = dataclasses.replace(self.read(PROMPT, [self.photo]), seen=())
        seen = [self.normalised(self.latent)]
        loop = self.studio.sample(text, empty, seed=SEED, steps=STEPS, references=seen)
        alone = node_helpers.conditioning_set_values([self.conditioning], {"reference_latents": [self.latent]})[0]
        without_clip = [[self.conditioning], self.loaded.vae, self.photo, references.OWN_SIZE]
        return {
            "difference": difference(self.sample({"samples": empty}, entry), loop),
            "latents alone": refusal(lambda: self.sample({"samples": empty}, alone)),
            "no clip": refusal(lambda: host_references.add(*without_clip)),
        }

    def batch(self) -> dict:
        """Two prompts of different length in one run against each alone."""
        texts = ["a mug", "a very long sentence about a lamp at the beach at night"]
        if self.edition.beside_noise:
            return {"difference": 0.0}
        (both,), _ = prompt_encoding.encode_prompts(self.loaded.clip, [(t, t) for t in texts], 0)
        empty = {"samples": torch.zeros_like(self.latent)}
        together = self.sample(empty, both)
        alone = []
        for index, text in enumerate(texts):
            (one,), _ = prompt_encoding.encode_prompts(self.loaded.clip, [(text, text)], 0)
            alone.append(self.sample(empty, one, seed=SEED + index))
        return {"difference": difference(together, torch.cat(alone))}

    @torch.no_grad()
    def writing(self) -> dict:
        """A text encoder that is a language model answers stock TextGenerate as transformers' own would."""
        clip = self.loaded.clip
        if self.family.text is None:
            try:
                clip.tokenize(PROMPT, thinking=False)
            except InputError as error:
                return {"refused": str(error)}
        tokens = clip.tokenize(PROMPT, image=None, skip_template=False, min_length=1, thinking=False)
        written = clip.generate(tokens, do_sample=False, max_length=12, seed=3)
        drawn = [clip.generate(tokens, do_sample=True, max_length=12, seed=seed) for seed in (3, 3, 4)]
        model, ids = self.studio.encoders.language_model, next(iter(tokens.values())).ids
        theirs = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
        mm.interrupt_current_processing(True)
        try:
            clip.generate(tokens, do_sample=False, max_length=12)
            cancelled = ""
        except BaseException as error:
            cancelled = type(error).__name__
        mm.interrupt_current_processing(False)
        return {
            "equal": written == theirs[0, ids.shape[1] :].tolist(),
            "text": clip.decode(written),
            "same seed": drawn[0] == drawn[1],
            "other seed": drawn[0] != drawn[2],
            "cancelled": cancelled,
        }

    def shown(self) -> dict:
        """StorefrontReference against the stock way: picture brought to size, encoded, ReferenceLatent."""
        if not self.edition.takes_references:
            return {}
        big = torch.rand(2, 1100, 1300, 3, generator=torch.Generator().manual_seed(3))
        at_most = self.family.latent_channels == 128 or self.family is Z_IMAGE_OMNI
        fitted = references.fit(big, at_most, references.OWN_SIZE)
        ((_, options),) = host_references.add(
            [self.conditioning], self.loaded.vae, big, references.OWN_SIZE, self.loaded.clip
        )
        latents = options["reference_latents"]
        return {
            "size": list(fitted.shape[1:3]),
            "difference": difference(torch.cat(latents), self.loaded.vae.encode(fitted)),
            "before": len(self.conditioning[1].get("reference_latents", ())),
        }

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
        clip = self.loaded.clip
        if self.family is Z_IMAGE_OMNI:
            looking = self.looking(conditioning, [self.photo])[1]
            arguments["ref_contexts"] = looking["reference_latents_text_embeds"]
            arguments["siglip_feats"] = [clip_vision.features_of(looking["clip_vision_outputs"][0])]
        encoders, tokens = self.loaded.clip.cond_stage_model, self.loaded.clip.tokenize(PROMPT)
        decoder = self.loaded.vae.first_stage_model
        moved = {"vae": (decoder.decode, {"latents": self.latent})}

        def see() -> torch.Tensor:
            return encoders.studio.vision.features(self.photo, CPU)

        # A mask picks each text's own tokens by its values, which fake tensors do not have.
        moved["transformer"] = (model.diffusion_model, {**arguments, "attention_mask": None})
        return {
            "half": {
                "MODEL": half_resident(self.loaded.model, lambda: model.diffusion_model(**arguments)),
                "CLIP": half_resident(self.loaded.clip.patcher, lambda: encoders.encode_token_weights(tokens)[0]),
                "VAE": half_resident(self.loaded.vae.patcher, lambda: decoder.decode(self.latent)),
                **({"sight": half_resident(clip.patcher, see)} if clip_socket.has_vision(encoders) else {}),
            },
            "streamed": {name: streamed(*call) for name, call in moved.items()},
        }

    def refusals(self) -> dict:
        def outcome(**changes) -> str:
            return refusal(lambda: self.sample(**({"latent": {"samples": self.latent}} | changes)))

        sequence, options = self.conditioning
        narrow = [sequence[..., :-1], options]
        wrong = [sequence, {**options, "reference_latents": [torch.zeros(1, 5, 4, 4)]}]
        return {
            "width": outcome(conditioning=narrow),
            "references": outcome(conditioning=wrong),
            "channels": outcome(latent={"samples": torch.ones(1, 5, 4, 4)}),
            "another picture beside": outcome(
                conditioning=[sequence, {**options, "concat_latent_image": torch.zeros(1, 4, *self.latent.shape[-2:])}]
            )
            if self.edition.beside_noise
            else "not asked",
            "nothing beside": outcome() if self.edition.beside_noise else "not asked",
        }


def control_net() -> dict:
    """A ControlNet for flux-micro, opened and applied by stock nodes on our MODEL, against FluxControlNetPipeline."""
    from comfy_extras.nodes_sd3 import ControlNetApplySD3
    from diffusers import FluxControlNetModel, FluxControlNetPipeline, FluxPipeline

    folder = model_files.find(model_files.BUNDLED)
    base = FluxPipeline.from_pretrained(folder, local_files_only=True, torch_dtype=torch.float32)
    torch.manual_seed(0)
    net = FluxControlNetModel.from_transformer(
        base.transformer, num_layers=1, num_single_layers=1, attention_head_dim=128, num_attention_heads=1
    )
    for layer in (*net.controlnet_blocks, *net.controlnet_single_blocks, net.controlnet_x_embedder):
        torch.nn.init.normal_(layer.weight, std=0.02)  # new ones are zero: they would add nothing
    net.eval().requires_grad_(False)
    path = comfy_process.BASE / "models" / "controlnet" / "net.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, path)

    loaded = opening.load_model(model_files.BUNDLED, "fp32")
    image = torch.randint(0, 256, (1, 64, 64, 3), generator=torch.Generator().manual_seed(4)) / 255
    (plain,), _ = prompt_encoding.encode_prompts(loaded.clip, [("a red mug", "a red mug")], 0)
    control = nodes.ControlNetLoader().load_controlnet("net.safetensors")[0]
    apply = ControlNetApplySD3()
    positive, _ = apply.apply_controlnet([plain], [plain], control, image, 0.8, 0.0, 1.0, vae=loaded.vae)
    settings = {"seed": SEED, "steps": 4, "guidance": 3.5, "cfg": 1.0, "strength": 1.0, "time_limit": 0}
    empty = {"samples": torch.zeros(1, 16, 8, 8)}
    ours = sampling.sample(loaded.model, positive, None, empty, sampling.SamplerSettings(**settings))[0]["samples"]
    without = sampling.sample(loaded.model, [plain], None, empty, sampling.SamplerSettings(**settings))[0]["samples"]

    parts = {k: v for k, v in base.components.items() if k not in ("image_encoder", "feature_extractor")}
    pipeline = FluxControlNetPipeline(**parts, controlnet=net)
    pipeline.set_progress_bar_config(disable=True)
    draw = pipeline.vae.encode

    def mean(pixels):
        out = draw(pixels)
        out.latent_dist.sample = lambda generator=None: out.latent_dist.mode()
        return out

    pipeline.vae.encode = mean
    seen = {}
    pipeline(
        prompt="a red mug",
        control_image=images.to_pil(image)[0],
        controlnet_conditioning_scale=0.8,
        width=64,
        height=64,
        num_inference_steps=4,
        guidance_scale=3.5,
        max_sequence_length=64,
        generator=noise.picture_generators(SEED, [0]),
        output_type="latent",
        callback_on_step_end=lambda p, i, t, values: seen.update(values) or values,
    )
    theirs = unpack(seen["latents"], 8, 8) / 0.3611 + 0.1159
    return {"difference": difference(ours, theirs), "added": difference(ours, without)}


def measure(name: str) -> dict:
    family = Family(name)
    return {
        "equality": family.equality(),
        "stock": family.stock(),
        "omni": family.stock_omni_node() if family.family is Z_IMAGE_OMNI else {},
        "batch": family.batch(),
        "writing": family.writing(),
        "shown": family.shown(),
        "memory": family.memory(),
        "refusals": family.refusals(),
    }


# Some of the builders differ in a default or two from another: tests/studio/sampling/test_families.py holds those.
ELSEWHERE = ("FLUX.2 klein base", "FLUX.2 klein KV", "FLUX.3", "Z-Image")
NAMES = [name for name in tiny.BUILDERS if name not in ELSEWHERE]
print("FIGURES " + json.dumps({"ControlNet": control_net(), **{name: measure(name) for name in NAMES}}))
