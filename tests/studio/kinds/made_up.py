"""A family that the pack does not have: diffusers' SD3 transformer, with the text encoders and the VAE of FLUX.1."""

from __future__ import annotations

from dataclasses import replace

from storefront.studio.kinds.facts import Defaults, Edition, ModelFacts, Traits, Widths
from storefront.studio.kinds.flux1 import FLUX1, SCHNELL_SCHEDULER
from storefront.studio.kinds.kind import TransformerKind, whole_number
from storefront.studio.kinds.names import Naming, same
from storefront.studio.kinds.velocity import Velocity

FAMILY = replace(FLUX1, name="Made Up", parts={**FLUX1.parts, "transformer": "made_up"})
EDITION = Edition(FAMILY, Defaults(3, 0.0, 1.0))


class MadeUpVelocity(Velocity):
    @property
    def pooled_width(self):
        return self.config.pooled_projection_dim

    def predict(self, x, timestep, given):
        options = {"encoder_hidden_states": given.context, "pooled_projections": given.y, "timestep": timestep * 1000}
        return self.transformer(hidden_states=x, return_dict=False, **options)[0]


class MadeUp(TransformerKind):
    role = "made_up"
    label = "a made-up transformer"
    library = "diffusers"
    classes = {"SD3Transformer2DModel": "SD3Transformer2DModel"}
    namings = (Naming("pos_embed.proj.weight", same),)
    editions = {"MadeUpPipeline": EDITION}

    def config(self, part):
        width, channels, patch, _ = part.shape("pos_embed.proj.weight")
        head = 8
        return {
            "sample_size": 16,
            "pos_embed_max_size": round(part.length("pos_embed.pos_embed", 1) ** 0.5),
            "patch_size": patch,
            "in_channels": channels,
            "out_channels": channels,
            "num_layers": part.count("transformer_blocks"),
            "attention_head_dim": head,
            "num_attention_heads": width // head,
            "joint_attention_dim": part.length("context_embedder.weight", 1),
            "caption_projection_dim": part.length("context_embedder.weight", 0),
            "pooled_projection_dim": part.length("time_text_embed.text_embedder.linear_1.weight", 1),
        }

    def widths(self, part):
        pooled = part.length("time_text_embed.text_embedder.linear_1.weight", 1)
        return Widths(part.length("context_embedder.weight", 1), pooled)

    def widths_in(self, config, name):
        return Widths(
            whole_number(config, "joint_attention_dim", name), whole_number(config, "pooled_projection_dim", name)
        )

    def traits(self, part):
        return Traits(False, part.length("pos_embed.proj.weight", 1))

    def traits_in(self, config, name):
        return Traits(False, whole_number(config, "in_channels", name))

    def describe(self, traits, name):
        return ModelFacts(EDITION, EDITION.defaults, SCHNELL_SCHEDULER)

    def velocity(self, transformer, dtype, edition):
        return MadeUpVelocity(transformer, dtype)


KIND = MadeUp()
