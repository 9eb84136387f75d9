"""A real ComfyUI, newest and oldest, whose model is on the real tritonserver: the same bits, and a clear error otherwise."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import zlib

import pytest
from comfyui import ROOT, Result, node, text_to_image, until
from connected import put_connection
from safetensors.torch import load_file, save_file

SERVED = node("StorefrontConnectServer", connection="shop")
LOCAL = node("StorefrontLoadModel", model="flux-micro", weight_dtype="fp32")
PHOTO = {
    "e": node("StorefrontExamplePhoto", photo="coffee"),
    "p": node("ImageScale", image=["e", 0], upscale_method="area", width=64, height=64, crop="center"),
    "k": node("SolidMask", value=1.0, width=64, height=64),
    "h": node("ImageToMask", image=["p", 0], channel="red"),
}
# Name -> how far it may be from that of the model in memory. ComfyUI gives a loaded picture to its VAE with the channels
# last in memory, where convolutions add up in another order; what travels to a server has them first.
SAVED_LATENTS = {"repainted": 0, "stock": 0, "ours": 0, "encoded": 0, "photo": 1e-5}
STEPS = {"seed": 7, "steps": 3, "cfg": 2.5, "sampler_name": "euler", "scheduler": "simple"}


def sampled(loader: dict, name: str) -> dict[str, dict]:
    """Latents of FLUX Sampler and of stock KSampler, and a masked repainting, saved under names that begin with `name`."""
    own = {
        "m": loader,
        "w": node(
            "StorefrontEncode", clip=["m", 1], prompt="a red mug, 빨간 머그컵", prompt_2="on marble", max_tokens=0
        ),
        "v": node("CLIPTextEncode", clip=["m", 1], text=""),
        "c": node("StorefrontCanvas", format="custom (width x height)", width=96, height=64, batch_size=2),
        "photo": node("VAEEncode", pixels=["p", 0], vae=["m", 2]),
        "n": node("SetLatentNoiseMask", samples=["encoded", 0], mask=["h", 0]),
        "repainted": node(
            "KSampler",
            model=["m", 0],
            positive=["w", 0],
            negative=["v", 0],
            latent_image=["n", 0],
            denoise=0.7,
            **STEPS,
        ),
        "stock": node(
            "KSampler",
            model=["m", 0],
            positive=["w", 0],
            negative=["v", 0],
            latent_image=["c", 0],
            denoise=1.0,
            **STEPS,
        ),
        "ours": node("StorefrontSample", model=["m", 0], positive=["w", 0], latent=["c", 0], seed=7, steps=4),
        "d": node("StorefrontDecode", vae=["m", 2], latent=["ours", 0]),
        "encoded": node("VAEEncode", pixels=["d", 0], vae=["m", 2]),
    }
    own |= {
        f"save {one}": node("SaveLatent", samples=[one, 0], filename_prefix=f"{name}_{one}") for one in SAVED_LATENTS
    }
    renamed = {one: one if one in PHOTO else f"{name} {one}" for one in {**own, **PHOTO}}
    return {
        renamed[one]: node(
            entry["class_type"],
            **{
                key: [renamed[value[0]], value[1]] if isinstance(value, list) else value
                for key, value in entry["inputs"].items()
            },
        )
        for one, entry in own.items()
    }


def test_samplers_encoders_and_vae_give_the_bits_of_the_model_in_memory(comfyui):
    result = comfyui.run({**PHOTO, **sampled(LOCAL, "here"), **sampled(SERVED, "there")})
    found = {path.name.partition("_0")[0]: load_file(path)["latent_tensor"] for path in result.files("latents")}
    assert set(found) == {f"{place}_{one}" for place in ("here", "there") for one in SAVED_LATENTS}
    for one, most in SAVED_LATENTS.items():
        assert float(found[f"here_{one}"].std()) > 0.1
        assert float((found[f"here_{one}"] - found[f"there_{one}"]).abs().max()) <= most, one


def drawn(connection: str = "shop", added: dict | None = None, **changes: dict) -> dict:
    return text_to_image({"1": node("StorefrontConnectServer", connection=connection), **(added or {})}, **changes)


LORA = {"lora_name": "micro.safetensors"}
REFUSED = {
    "stock LoRA": (node("LoraLoader", model=["1", 0], clip=["1", 1], strength_model=1.0, strength_clip=1.0, **LORA), "LoRA"),
    "stock LoRA of the model": (node("LoraLoaderModelOnly", model=["1", 0], strength_model=1.0, **LORA), "LoRA"),
    "LoRA in bypass mode": (node("LoraLoaderBypassModelOnly", model=["1", 0], strength_model=1.0, **LORA), "LoRA"),
    "our LoRA": (node("StorefrontLoadLora", model=["1", 0], lora_1="micro.safetensors", strength_1=1.0), "change"),
    "acceleration": (node("StorefrontAccelerate", model=["1", 0], step_cache="first block"), "change"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_change_the_servers_weights_is_refused_by_name(comfyui, server, case):
    added, why = REFUSED[case]
    rows, _ = server.executions("dit_transformer")
    result = comfyui.run(drawn(added={"10": added}, Sample={"model": ["10", 0], "cfg": 2.0, "negative": ["2", 0]}))
    print(f"\n{result.error}")
    assert not result.ok
    assert "`model` is a model of a server" in result.error
    assert why in result.error
    assert server.executions("dit_transformer")[0] == rows, "nothing was sampled"


def test_patches_of_blocks_are_refused_by_name(comfyui):
    layers = {"double_layers": "0", "single_layers": "0", "start_percent": 0.0, "end_percent": 1.0}
    patched = node("SkipLayerGuidanceDiT", model=["1", 0], scale=3.0, rescaling_scale=0.0, **layers)
    cfg = {"model": ["10", 0], "cfg": 2.0, "negative": ["2", 0]}
    result = comfyui.run(drawn(added={"10": patched}, Sample=cfg))
    assert "`model` is a model of a server" in result.error
    assert "a node's patches (dit)" in result.error


def test_a_controlnet_is_refused_by_name(comfyui, server, micro_pipeline):
    import diffusers

    net = diffusers.FluxControlNetModel.from_transformer(
        micro_pipeline.transformer, num_layers=1, num_single_layers=1, attention_head_dim=128, num_attention_heads=1
    )
    folder = comfyui.base / "models" / "controlnet"
    folder.mkdir(exist_ok=True)
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, folder / "net.safetensors")
    applied = {"strength": 0.8, "start_percent": 0.0, "end_percent": 1.0, "image": ["p", 0], "vae": ["1", 2]}
    added = {
        **PHOTO,
        "10": node("ControlNetLoader", control_net_name="net.safetensors"),
        "11": node("ControlNetApplyAdvanced", positive=["2", 0], negative=["2", 0], control_net=["10", 0], **applied),
    }
    rows, _ = server.executions("dit_transformer")
    result = comfyui.run(drawn(added=added, Sample={"positive": ["11", 0]}))
    assert result.error.startswith("`positive` is a model of a server")
    assert "a ControlNet" in result.error
    assert server.executions("dit_transformer")[0] == rows


def test_hooks_are_refused_by_name(comfyui, server):
    hooks = {
        "10": node("CreateHookLora", strength_model=1.0, strength_clip=1.0, **LORA),
        "11": node(
            "ConditioningSetProperties", cond_NEW=["2", 0], strength=1.0, set_cond_area="default", hooks=["10", 0]
        ),
        "12": node("SetClipHooks", clip=["1", 1], apply_to_conds=True, schedule_clip=False, hooks=["10", 0]),
    }
    rows, _ = server.executions("dit_transformer")
    for changes in ({"Sample": {"positive": ["11", 0]}}, {"Encode": {"clip": ["12", 0]}}):
        result = comfyui.run(drawn(added=hooks, **changes))
        assert "is a model of a server" in result.error, changes
        assert "hook" in result.error
    assert server.executions("dit_transformer")[0] == rows


SAVED = {
    "ModelSave": {"model": ["1", 0]},
    "CLIPSave": {"clip": ["1", 1]},
    "VAESave": {"vae": ["1", 2]},
    "CheckpointSave": {"model": ["1", 0], "clip": ["1", 1], "vae": ["1", 2]},
}


@pytest.mark.parametrize("saver", SAVED)
def test_weights_that_are_elsewhere_are_not_saved(comfyui, saver):
    graph = {"1": SERVED, "2": node(saver, filename_prefix="never", **SAVED[saver])}
    result = comfyui.run(graph)
    assert "not here to be saved" in result.error
    assert not list((comfyui.base / "output").rglob("never*"))


def test_a_wrong_connection_is_refused_before_anything_runs(comfyui):
    for name in ("none", "nobody", "chat", 5, "../shop"):
        result = comfyui.run(drawn(name))
        assert result.refused is not None or not result.ok
        assert "`connection" in result.error
    asked = comfyui.run(
        {
            "1": node("StorefrontAdPrompt", translate="connection", connection="shop"),
            "2": node("PreviewAny", source=["1", 0]),
        }
    )
    assert "`connection" in asked.error, "a Triton server is no chat server"
    listed = comfyui.get("/object_info/StorefrontConnectServer")["StorefrontConnectServer"]
    options = json.dumps(listed["input"])
    assert "shop" in options
    assert "chat" not in options
    assert "http" not in options, "no address"


# --- a server in a bad state ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def between(target: str, answer: bytes | None = None):
    """An address before a server, and what ends it as `kill -9` of the server would: sockets close, nobody listens.

    answer: what everybody gets instead, whatever is asked.
    """
    host, port = target.removeprefix("http://").split(":")
    listener = socket.create_server(("127.0.0.1", 0))
    opened: list[socket.socket] = []

    def carry(source: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(2**16):
                to.sendall(data)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                opened.append(client)
                if answer is not None:
                    with contextlib.suppress(OSError), client:  # who has read enough hangs up
                        client.recv(2**16)
                        client.sendall(answer)
                    continue
                server = socket.create_connection((host, int(port)))
                opened.append(server)
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

    def kill() -> None:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        for one in [listener, *opened]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", kill
    finally:
        kill()


def http_answer(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n"
    return head % (status, len(body), more) + body


GARBAGE = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a web page": http_answer(b"<html><body>It works!</body></html>"),
    "another Triton": http_answer(b'{"name": "bls", "parameters": {}}'),
    "a strange model": http_answer(json.dumps({"parameters": {"about": {"string_value": '{"name": 5}'}}}).encode()),
    "nothing": b"",
    "a model without defaults": http_answer(
        json.dumps({"parameters": {"about": {"string_value": json.dumps({"name": "x", "defaults": []})}}}).encode()
    ),
    "an error": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "a gigabyte in a megabyte": http_answer(zlib.compress(bytes(2**30), 9), more=b"Content-Encoding: deflate\r\n"),
    "more than any configuration": http_answer(b" " * (2**20 + 1)),
}
KEY = "sk-shop-1a2b3c4d5e6f"
TOLD = {  # a proxy's status and words -> what is said
    "no Triton": (http_answer(b"{}", b"404 Not Found"), "Its server has no model of this project"),
    "no such model": (http_answer(b'{"error": "unknown model"}', b"400 Bad Request"), "Its server has no model of this project"),
    "a wrong key": (http_answer(b'{"error": "who are you?"}', b"401 Unauthorized"), "Its server did not accept the key."),
    "the key in its words": (
        http_answer(json.dumps({"error": f"no room for Bearer {KEY}"}).encode(), b"500 Internal Server Error"),
        "Its server failed (its words held the key).",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GARBAGE)
def test_what_is_no_server_of_ours_is_named(comfyui, server, case):
    with between(server.url, GARBAGE[case]) as (url, _):
        put_connection(comfyui.url, "strange", url)
        result = comfyui.run(drawn("strange"))
    print(f"\n{case}: {result.error}")
    assert result.error.startswith("`connection` is 'strange'. Its server ")
    assert url not in result.error
    assert "127.0.0.1" not in comfyui.log().split("got prompt")[-1], "no address in the log"


@pytest.mark.parametrize("case", TOLD)
def test_what_a_proxy_says_becomes_what_helps_and_never_shows_the_key(comfyui, server, case):
    answer, says = TOLD[case]
    with between(server.url, answer) as (url, _):
        put_connection(comfyui.url, "proxy", url, key=KEY)
        result = comfyui.run(drawn("proxy"))
    assert result.error.startswith(f"`connection` is 'proxy'. {says}")
    assert KEY not in result.error
    assert KEY not in comfyui.log()


def test_a_key_that_was_changed_is_taken_at_once(comfyui, server):
    """A cached MODEL would go on with the old one."""
    with between(server.url) as (url, _):
        put_connection(comfyui.url, "turned", url, key=KEY)
        assert comfyui.run(drawn("turned", Sample={"seed": 601})).ok
        prompt = drawn("turned", Sample={"seed": 602})
        put_connection(comfyui.url, "turned", url, key=KEY[::-1])
        again = comfyui.run(prompt)
        assert again.ok
    (cached,) = [body["nodes"] for kind, body in again.history["status"]["messages"] if kind == "execution_cached"]
    assert "1" not in cached
    assert "3" in cached, "the canvas, which knows of no key"


def test_an_address_in_a_private_network_is_refused_without_naming_it(comfyui):
    put_connection(comfyui.url, "inner", "http://10.20.30.40:8000", allow_private=False)
    error = comfyui.run(drawn("inner")).error
    assert error.startswith(
        "`connection` is 'inner'. Its address is in a private network, which the connection does not allow."
    )
    assert "10.20" not in error


def test_errors_of_a_server_are_in_the_editors_language(comfyui, server):
    with between(server.url) as (url, kill):
        kill()
        put_connection(comfyui.url, "down", url)
        comfyui.get("/storefront/language", {"client_id": "editor-served", "language": "ko"})
        result = comfyui.wait(comfyui.queue(drawn("down", Sample={"seed": 603}), client_id="editor-served"))
    assert "서버가 응답하지 않습니다(연결할 수 없음). 서버를 켜거나" in result.error


def test_a_server_that_is_down_is_named_and_the_next_prompt_draws(comfyui, server):
    with between(server.url) as (url, kill):
        kill()
        put_connection(comfyui.url, "down", url)
        result = comfyui.run(drawn("down"))
    assert result.error.startswith(
        "`connection` is 'down'. Its server does not answer (it cannot be reached). Start it"
    )
    assert comfyui.run(drawn(Sample={"seed": 501})).ok


LONG = {"steps": 3000, "seed": 11}


def test_a_server_killed_in_the_middle_is_named_and_drawing_goes_on_when_it_is_back(comfyui, server):
    before, _ = server.executions("dit_transformer")
    with between(server.url) as (url, kill):
        put_connection(comfyui.url, "killed", url)
        prompt = comfyui.queue(drawn("killed", Sample=LONG))
        until(lambda: server.executions("dit_transformer")[0] > before + 3)
        kill()
        result: Result = comfyui.wait(prompt)
    assert "`connection` is 'killed'. Its server does not answer" in result.error
    put_connection(comfyui.url, "killed", server.url)
    assert comfyui.run(drawn("killed", Sample={"seed": 502})).ok


def test_cancel_ends_a_run_within_a_step(comfyui, server):
    before, _ = server.executions("dit_transformer")
    prompt = comfyui.queue(drawn(Sample=LONG))
    until(lambda: server.executions("dit_transformer")[0] > before + 3)
    comfyui.get("/interrupt", {})
    comfyui.wait(prompt)

    def rests() -> bool:  # a step that was under way when the run ended is counted when it is done
        counted = server.executions("dit_transformer")
        time.sleep(0.5)
        return server.executions("dit_transformer") == counted

    until(rests)
    assert server.executions("dit_transformer")[0] - before < LONG["steps"] / 2
    assert comfyui.run(drawn(Sample={"seed": 503})).ok


# --- drawn whole on the server ----------------------------------------------------------------------------------------

WHOLE = {"connection": "shop", "prompt": "a red mug", "seed": 5, "steps": 4}


def on_server(**changes: object) -> dict[str, dict]:
    return {
        **PHOTO,
        "two": node("RepeatImageBatch", image=["p", 0], amount=2),
        "masks": node("ImageToMask", image=["two", 0], channel="red"),
        "1": node("StorefrontDrawOnServer", **WHOLE | changes),
        "2": node("SaveImage", images=["1", 0], filename_prefix="whole"),
    }


def test_the_server_draws_a_whole_picture_as_the_sampler_here_does(comfyui):
    drawn_there = comfyui.run(on_server(width=64, height=64))
    here = text_to_image(Encode={"prompt": "a red mug"}, Sample={"seed": 5, "steps": 4})
    assert abs(drawn_there.pixels().astype(int) - comfyui.run(here).pixels()).max() <= 1  # of 255


def test_a_picture_is_repainted_on_the_server_where_its_mask_says(comfyui):
    plain = (
        comfyui.run({**PHOTO, "2": node("SaveImage", images=["p", 0], filename_prefix="photo")}).pixels().astype(int)
    )
    half = {
        "l": node("SolidMask", value=0.0, width=64, height=64),
        "o": node("SolidMask", value=1.0, width=32, height=64),
        "j": node("MaskComposite", destination=["l", 0], source=["o", 0], x=0, y=0, operation="add"),
    }
    both = comfyui.run(on_server(image=["p", 0], strength=0.9, steps=8)).pixels()
    masked = comfyui.run(half | on_server(image=["p", 0], mask=["j", 0], strength=0.9, steps=8)).pixels()
    changed = abs(masked - plain).mean((0, 1, 3))
    assert abs(both - plain).mean() > 10
    assert changed[:24].mean() > 2 * changed[40:].mean()


def test_progress_and_cancel_reach_a_drawing_on_the_server(comfyui, server):
    with comfyui.listening() as (socket, client):
        prompt = comfyui.queue(on_server(steps=3000, seed=6), client_id=client)
        told = []
        while not told or told[-1][0] < 3:
            message = json.loads(text) if isinstance(text := socket.recv(), str) else {}
            if message.get("type") == "progress" and message["data"].get("max") == 3000:
                told.append((message["data"]["value"], message["data"]["max"]))
        comfyui.get("/interrupt", {})
        result = comfyui.wait(prompt)
    assert not result.ok
    until(lambda: not server.drawings())
    assert comfyui.run(on_server(seed=7)).ok


def test_a_time_limit_gives_the_picture_so_far(comfyui):
    assert comfyui.run(on_server(steps=2000, time_limit=1, seed=8)).pixels().std() > 5


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"width": 64}, "`height` is missing"),
        ({"width": 2048, "height": 2048}, "`width` is 2048"),
        ({"prompt": " "}, "`prompt` is empty"),
        (
            {"image": ["p", 0], "mask": ["masks", 0]},
            "`mask` is '2 masks of 64x64'. Expected: one mask of 64x64, as the image",
        ),
    ],
)
def test_an_order_that_the_server_cannot_draw_is_named(comfyui, wrong, named):
    result = comfyui.run(on_server(**wrong))
    print(f"\n{result.error}")
    assert named in result.error
    assert "Traceback" not in result.error


def test_a_server_that_is_killed_while_it_draws_a_whole_picture_is_named(comfyui, server):
    with between(server.url) as (url, kill):
        put_connection(comfyui.url, "whole", url)
        prompt = comfyui.queue(on_server(connection="whole", steps=3000, seed=9))
        until(server.drawings)
        kill()
        result = comfyui.wait(prompt)
    assert "`connection` is 'whole'. Its server does not answer" in result.error
    until(lambda: not server.drawings())


def test_the_bundled_workflow_runs_with_a_connection(comfyui):
    workflow = json.loads((ROOT / "workflows" / "api" / "text_to_image_server.json").read_text("utf-8"))
    here = comfyui.run(text_to_image()).pixels()
    workflow["1"]["inputs"]["connection"] = "shop"
    assert (comfyui.run(workflow).pixels() == here).all()
