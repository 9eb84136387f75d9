"""Pictures of a real tritonserver against diffusers' FluxPipeline and the Python API, and how a drawing ends."""

from __future__ import annotations

import asyncio
import base64
import io

import numpy as np
import pytest
import torch
from comfyui import until
from PIL import Image
from storefront.serving import Client, ServingError, SyncClient
from storefront.studio.api.draw import image_to_image, text_to_image
from storefront.studio.api.load import load_model
from storefront.studio.errors import InputError
from triton_server import LARGEST

LENGTH = 64  # of flux-micro's T5
CLOSE = 1e-5
CASES = {
    # prompts, steps, guidance, seed, (width, height), pictures a prompt
    "one step": (["a red mug"], 1, 3.5, 7, (64, 64), 1),
    "four steps, no guidance": (["a red mug"], 4, 0.0, 2**63 + 1, (96, 64), 1),
    "two prompts": (["a red mug on a wooden table", "서울의 밤 a white shoe"], 4, 3.5, 7, (64, 64), 1),
    "three pictures": (["a blue lamp"], 4, 2.5, 3, (48, 112), 3),
    "twenty steps": (["a blue lamp at the beach"], 20, 0.3, 11, (64, 64), 1),
}


@pytest.fixture(scope="module")
def client(server):
    with SyncClient(server.url) as opened:
        yield opened


@pytest.fixture(scope="module")
def here():
    """The same model in this process."""
    return load_model(device="cpu", dtype="fp32")


@pytest.mark.parametrize("case", CASES)
def test_it_equals_flux_pipeline(client, micro_pipeline, case):
    prompts, steps, guidance, seed, (width, height), each = CASES[case]
    size = {"width": width, "height": height}
    drawn = client.draw(prompts, steps=steps, guidance=guidance, seed=seed, num_images_per_prompt=each, **size)
    expected = micro_pipeline(
        prompts,
        num_inference_steps=steps,
        guidance_scale=guidance,
        num_images_per_prompt=each,
        generator=[torch.Generator().manual_seed(seed + i) for i in range(len(prompts) * each)],
        max_sequence_length=LENGTH,
        output_type="pt",
        **size,
    ).images.movedim(1, -1)
    assert drawn.images.shape == expected.shape
    difference = float((drawn.images - expected).abs().max())
    print(f"\n{case}: {difference:g}")
    assert difference <= CLOSE
    assert (drawn.status, drawn.steps_done, drawn.steps) == ("finished", steps * len(prompts), steps * len(prompts))
    assert drawn.unfinished is None
    assert any("licence" in note for note in drawn.notes)


@pytest.mark.parametrize("masked", [False, True])
def test_a_picture_is_repainted_as_in_this_process(client, here, masked):
    photo = text_to_image("a red mug", seed=1, steps=2, model=here).image
    half = torch.zeros_like(photo)
    half[:, :, : photo.shape[2] // 2] = 1
    options = {"strength": 0.6, "seed": 5, "steps": 5, "mask": half if masked else None}
    drawn = client.draw("a blue cup", image=photo, **options)
    expected = image_to_image(photo, "a blue cup", model=here, **options).image
    assert float((drawn.images - expected).abs().max()) <= CLOSE
    assert float((drawn.images - photo).abs().max()) > 0.05


def test_requests_of_many_users_are_drawn_together(server, here):
    before = server.executions("dit_transformer")
    words = [f"a mug, number {number}" for number in range(8)]

    async def ask():
        async with Client(server.url) as client:
            return await asyncio.gather(*(client.draw(text, seed=9, steps=8) for text in words))

    pictures = asyncio.run(ask())
    for text, drawn in zip(words, pictures):
        alone = text_to_image(text, seed=9, steps=8, model=here).image
        assert float((drawn.images - alone).abs().max()) <= CLOSE
    rows, count = (now - earlier for now, earlier in zip(server.executions("dit_transformer"), before))
    print(f"\n{rows} rows in {count} executions")
    assert rows == 64
    assert count < 64, "no two steps were merged"


def test_a_step_is_told_after_each_step(client):
    told = []
    client.draw("a mug", steps=3, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_time_limit_gives_the_picture_so_far_and_it_can_be_resumed(client):
    order = {"steps": 6, "seed": 4}
    cut = client.draw("a red mug", time_limit=0.001, **order)
    assert cut.status == "time limit"
    assert 1 <= cut.steps_done < cut.steps == 6
    assert any("time limit of 0.001 s reached" in note for note in cut.notes)
    assert float(cut.images.std()) > 0
    told = []
    rest = client.draw("a red mug", resume=cut.unfinished, progress=lambda done, _: told.append(done), **order)
    assert told[0] == cut.steps_done + 1
    whole = client.draw("a red mug", **order)
    assert float((rest.images - whole.images).abs().max()) <= CLOSE
    assert float((cut.images - whole.images).abs().max()) > CLOSE
    with pytest.raises(ServingError, match="`resume` is") as refused:
        client.draw("another mug", resume=cut.unfinished, **order)
    assert refused.value.code == "INVALID_ARGUMENT"


def test_steps_of_a_batch_of_pictures_are_told_together(client):
    two = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    told = []
    order = {"image": two, "strength": 0.6, "steps": 5}
    drawn = client.draw("a mug", progress=lambda done, total: told.append((done, total)), **order)
    assert told == [(done, 6) for done in range(1, 7)]
    assert (drawn.steps_done, drawn.steps, len(drawn.images)) == (6, 6, 2)
    cut = client.draw("a mug", time_limit=0.001, **order | {"steps": 50})
    assert cut.status == "time limit"
    assert cut.unfinished is None, "of which picture?"


class GoneError(Exception):
    pass


def leave(done: int, total: int) -> None:
    raise GoneError


@pytest.mark.parametrize("way", ["progress raises", "task cancelled", "nothing told", "connection closed"])
def test_a_drawing_that_nobody_waits_for_ends(server, client, way):
    steps = 5000
    before = server.executions("dit_transformer")

    async def cancelled():
        async with Client(server.url) as opened:
            begun = asyncio.Event()
            told = None if way == "nothing told" else lambda *_: begun.set()
            task = asyncio.create_task(opened.draw("a mug", steps=steps, progress=told))
            while not begun.is_set() and not (told is None and server.executions("dit_transformer")[0] > before[0] + 2):
                await asyncio.sleep(0.02)
            if way in ("task cancelled", "nothing told"):
                task.cancel()
        return await asyncio.gather(task, return_exceptions=True)

    if way == "progress raises":
        with pytest.raises(GoneError):
            client.draw("a mug", steps=steps, progress=leave)
    else:
        (error,) = asyncio.run(cancelled())
        assert isinstance(error, BaseException)
    until(lambda: not server.drawings())
    rows, _ = server.executions("dit_transformer")
    assert 1 <= rows - before[0] < steps


@pytest.mark.parametrize("error", [BrokenPipeError, TimeoutError, ServingError])
def test_an_error_of_progress_is_no_server_that_does_not_answer(server, error):
    told = []

    def fail(done: int, total: int) -> None:
        told.append(done)
        raise error("UNAVAILABLE", "the caller's own")

    with SyncClient([server.url, server.url]) as client, pytest.raises(error, match="the caller's own") as raised:
        client.draw("a mug", steps=50, progress=fail)
    assert told == [1], "drawn again"
    assert raised.value.__cause__ is None


def as_text(picture: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


def test_a_picture_file_is_read_and_given(server):
    import json
    import urllib.request

    photo = Image.new("RGB", (64, 64), "#c03020")
    order = {"prompt": "a mug", "image": as_text(photo, "PNG"), "strength": 0.5, "steps": 2, "output": "png"}
    request = urllib.request.Request(f"{server.url}/v2/models/bls/generate_stream", json.dumps(order).encode())
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        event = json.loads(answer.read().decode().strip().removeprefix("data:"))
    assert event["status"] == "finished"
    with Image.open(io.BytesIO(base64.b64decode(event["files"]))) as drawn:
        assert drawn.size == (64, 64)
        assert np.asarray(drawn).std() > 5


BAD_ORDERS = [
    ({"steps": 0}, "steps"),
    ({"steps": -3}, "steps"),
    ({"steps": 10_001}, "steps"),
    ({"width": 65, "height": 64}, "width"),
    ({"width": 64, "height": -16}, "height"),
    ({"width": 64}, "height"),
    ({"width": 64, "height": LARGEST + 16}, "height"),
    ({"width": 10**6, "height": 16}, "width"),
    ({"guidance": -1.0}, "guidance"),
    ({"guidance": 1e30}, "guidance"),
    ({"time_limit": -1.0}, "time_limit"),
    ({"max_sequence_length": 100_000}, "max_sequence_length"),
    ({"max_sequence_length": -1}, "max_sequence_length"),
    ({"num_images_per_prompt": 0}, "num_images_per_prompt"),
    ({"num_images_per_prompt": 65}, "num_images_per_prompt"),
    ({"prompt": ["a mug"] * 3, "num_images_per_prompt": 40}, "num_images_per_prompt"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": " \n"}, "prompt"),
    ({"prompt": ["a mug", ""]}, "prompt"),
    ({"prompt": "x" * 200_001}, "prompt"),
    ({"prompt": ["a mug"] * 65}, "prompt"),
    ({"prompt_2": "x" * 200_001}, "prompt_2"),
    ({"resume": "never"}, "resume"),
    ({"resume": base64.b64encode(b"x" * 100).decode()}, "resume"),
    ({"strength": 2.0, "image": torch.zeros(1, 64, 64, 3)}, "strength"),
    ({"image": torch.zeros(1, 64, 64, 3), "num_images_per_prompt": 2}, "num_images_per_prompt"),
    ({"image": torch.zeros(1, 64, 64, 3), "mask": torch.zeros(1, 32, 64, 3)}, "mask"),
    ({"mask": torch.zeros(1, 64, 64, 3)}, "mask"),
]


@pytest.mark.parametrize(("order", "named"), BAD_ORDERS, ids=lambda value: str(value)[:40])
def test_an_order_that_cannot_be_is_refused_by_name(client, order, named):
    with pytest.raises(ServingError, match=f"^INVALID_ARGUMENT: `{named}` is ") as refused:
        client.draw(**{"prompt": "a mug", "steps": 1, **order})
    assert refused.value.code == "INVALID_ARGUMENT"
    assert "Traceback" not in str(refused.value)


UNSENT = [
    ({"guidance": float("nan")}, "guidance"),
    ({"guidance": "much"}, "guidance"),
    ({"guidance": 10**400}, "guidance"),
    ({"steps": {1}}, "steps"),
    ({"steps": 1.5}, "steps"),
    ({"steps": True}, "steps"),
    ({"steps": 2**40}, "steps"),
    ({"seed": -1}, "seed"),
    ({"seed": 2**64}, "seed"),
    ({"prompt": 5}, "prompt"),
    ({"prompt": ["a mug", 5]}, "prompt"),
    ({"prompt": "a \ud800 mug"}, "prompt"),
    ({"prompt_2": ["a mug"]}, "prompt_2"),
    ({"resume": b"never"}, "resume"),
    ({"sampler": "euler"}, "sampler"),
]


@pytest.mark.parametrize(("order", "named"), UNSENT, ids=lambda value: ascii(value)[:40])
def test_what_cannot_travel_is_refused_before_it_does(client, order, named):
    with pytest.raises(InputError, match=f"`{named}` is "):
        client.draw(**{"prompt": "a mug", **order})


def test_text_to_image_on_a_server_equals_it_here(client, here):
    told = []
    order = {"seed": 4, "steps": 3, "width": 64, "height": 96}
    there = text_to_image("a red mug", server=client, progress=told.append, **order)
    assert float((there.image - text_to_image("a red mug", model=here, **order).image).abs().max()) <= CLOSE
    assert [(step.done, step.total) for step in told if step.stage == "sample" and step.done] == [
        (1, 3),
        (2, 3),
        (3, 3),
    ]
    assert any("licence" in note for note in there.report.notes)
    cut = text_to_image("a red mug", server=client, time_limit=0.001, **order)
    assert cut.unfinished is not None
    whole = text_to_image("a red mug", server=client, resume=cut.unfinished, **order)
    assert float((whole.image - there.image).abs().max()) <= CLOSE


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"negative": "blur"}, "negative"),
        ({"cfg": 2.0}, "cfg"),
        ({"model": "flux-micro"}, "model"),
        ({"width": 65, "height": 64}, "width"),
    ],
)
def test_what_a_server_cannot_do_for_text_to_image_is_refused_by_name(client, given, named):
    with pytest.raises(InputError, match=f"`{named}` is "):
        text_to_image("a mug", server=client, **given)
    with pytest.raises(InputError, match="`server` is "):
        text_to_image("a mug", server="http://127.0.0.1:8000")
