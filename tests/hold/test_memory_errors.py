"""Memory that runs out in any stage, as each allocator says it: a node that names itself or a picture all the same, and the next one exact."""

from __future__ import annotations

from collections import Counter

import attacks
import exact
from comfyui import text_to_image

# Stage -> (the function whose memory runs out, the node of attacks.good_prompt; "": a drawing).
STAGES = {
    "load": ("studio.opening.folders", "load_module", ""),
    "encode": ("studio.sampling.encode", "pooled_embedding", ""),
    "sample": ("studio.kinds.flux1:FluxVelocity", "predict", ""),
    "decode": ("host.vae_socket:DiffusersVae", "decode", ""),
    "references": ("host.vae_socket:DiffusersVae", "encode", "StorefrontReference"),
    "cut out": ("studio.product.networks:_Watched", "run", "StorefrontRemoveBackground"),
    "plan": ("studio.layout.plan", "_planned", "StorefrontPlanLayout"),
    "place": ("studio.product.place", "_compose", "StorefrontPlaceProduct"),
    "write": ("studio.text.draw", "_draw", "StorefrontTextOverlay"),
    "encode a file": ("studio.output.encode", "_png", "StorefrontSaveImage"),
    "save": ("studio.output.saving", "_write", "StorefrontSaveImage"),
}
FOREVER = -1


def test_memory_that_runs_out_is_named_and_leaves_the_next_prompt_exact(server, size):
    info = server.get("/object_info")
    drawing = text_to_image(Sample={"seed": 5, "steps": 2})
    before = exact.drawn(server, -1)
    kinds = server.get("/hold/starve", {})
    assert {"CUDA", "CPU", "Python", "numpy", "Pillow"} <= set(kinds)
    every = [(stage, kind, times) for kind in kinds for stage in STAGES for times in (1, FOREVER)]
    # Of a small size each stage once, for good, and each kind of error.
    few = [(stage, kinds[number % len(kinds)], FOREVER) for number, stage in enumerate(STAGES)]
    chosen = few if (count := size(len(few), len(every))) <= len(few) else every[:count]
    answers: Counter = Counter()
    wrong = []
    for number, (stage, kind, times) in enumerate(chosen):
        place, name, node_id = STAGES[stage]
        prompt = attacks.good_prompt(node_id, info[node_id]) if node_id else drawing
        server.get("/free", {"unload_models": True, "free_memory": True})
        server.get("/hold/starve", {"place": place, "name": name, "error": kind, "times": times})
        result = server.run(prompt)
        server.get("/hold/starve", {})
        answers["drawn" if result.ok else "named"] += 1
        if not result.ok and not named(result):
            wrong.append(f"{stage}, {kind}, {times}: {result.error[:400]}")
        if result.ok and times == FOREVER:
            wrong.append(f"{stage}, {kind}: nothing failed, so that nothing was held")
        if not server.run(prompt).ok:
            wrong.append(f"{stage}, {kind}: the same prompt failed afterwards")
        if not (exact.drawn(server, number) == before).all():
            wrong.append(f"{stage}, {kind}: the next picture is another")
    print(f"\nmemory errors: {len(chosen)} in {len(STAGES)} stages of {len(kinds)} kinds, {dict(answers)}")
    assert not wrong, "\n".join(wrong)


def named(result) -> bool:
    """Two sentences of ours, which say what did not fit and what to do; of a file, which could not be written."""
    (failure,) = [body for kind, body in result.history["status"]["messages"] if kind == "execution_error"]
    kind, said = failure["exception_type"].rpartition(".")[2], failure["exception_message"]
    return (kind == "OutOfMemory" and said.startswith("`")) or (
        kind == "EncodingError" and "could not be written" in said
    )
