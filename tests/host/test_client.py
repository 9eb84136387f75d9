"""`storefront.client` on a running ComfyUI: named parameters, progress, Cancel, errors, lost connections."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from comfyui import ROOT, until
from conftest import NEWEST, dev
from PIL import Image, ImageCms
from proxy import proxy
from storefront import client
from storefront.client import Client, SyncClient

PHOTO = ROOT / "workflows" / "assets" / "coffee.jpg"
ENDLESS = {"steps": 9999}
# Three wait for a model of the user's own: test_workflows.py runs them with a stand-in.
NEED_A_MODEL = {"flux2_two_references", "kontext_edit", "zimage_turbo", "text_to_image_server"}
NAMES = [name for name in client.workflow_names() if name not in NEED_A_MODEL]
PICTURES = {"campaign": 5, "catalogue": 2, "product_on_white": 3, "style_lora": 3}


def pixels(picture: client.Fetched) -> np.ndarray:
    return np.asarray(picture.to_pil().convert("RGB")).astype(int)


def named(name: str) -> dict:
    """Every parameter of a bundled workflow, set to what the workflow holds or to a picture."""
    workflow = client.load_workflow(name)
    values = {}
    for parameter in workflow.parameters.values():
        if parameter.takes == "picture":
            values[parameter.name] = Image.open(PHOTO).resize((512, 512))
        elif parameter.takes == "pictures":
            values[parameter.name] = [PHOTO, Image.open(PHOTO).transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
        elif parameter.takes == "lines":
            values[parameter.name] = ["하나", "둘둘둘"]
        else:
            node, _, entry = next(iter(parameter.sets)).partition(".")
            values[parameter.name] = workflow.prompt[node]["inputs"][entry]
    if "headline" in values:
        values["headline"] = "오늘의 커피"
    return values


@pytest.mark.usefixtures("no_traceback")
def test_a_pdf_is_a_file_and_its_page_a_picture(comfyui):
    photo = {"class_type": "StorefrontExamplePhoto", "inputs": {}}
    saved = {"class_type": "StorefrontSaveImage", "inputs": {"image": ["1", 0], "format": "PDF", "filename": "page"}}
    with SyncClient(comfyui.url) as comfy:
        run = comfy.run({"1": photo, "2": saved})
    (file,), (picture,) = run.files, run.pictures
    assert file.content.startswith(b"%PDF")
    assert (picture.kind, pixels(picture).shape) == ("output", (400, 600, 3))


@pytest.mark.usefixtures("no_traceback")
@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_of_every_workflow_is_taken(comfyui, name):
    with SyncClient(comfyui.url) as comfy:
        run = comfy.run(name, **named(name))
    assert len(run.pictures) == PICTURES.get(name, 1)
    for picture in run.pictures:
        assert picture.kind == "output"
        assert pixels(picture).std() > 20
        assert (comfyui.base / "output" / picture.subfolder / picture.name).read_bytes() == picture.content


@pytest.mark.usefixtures("no_traceback")
def test_a_parameter_changes_the_picture_and_progress_is_told(comfyui):
    steps = []

    async def both():
        async with Client(comfyui.url) as comfy:
            red = comfy.run("text_to_image", prompt="a red mug on marble", steps=5, progress=steps.append)
            blue = comfy.run("text_to_image", prompt="a blue mug on marble", steps=5)
            return await asyncio.gather(red, blue)

    red, blue = (pixels(run.pictures[0])[24:48, 20:44].mean((0, 1)) for run in asyncio.run(both()))
    assert red[0] > red[2] + 40
    assert blue[2] > blue[0] + 40
    done = [step.done for step in steps if step.stage == "StorefrontSample" and step.total == 5]
    assert done == sorted(set(done))  # ComfyUI leaves some out where they follow each other within milliseconds
    assert len(done) >= 2
    assert done[-1] == 5
    assert {step.stage for step in steps} >= {"StorefrontSample", "StorefrontDecode", "Picture · 그림"}


@pytest.mark.usefixtures("no_traceback")
def test_every_step_is_told_of_a_run_that_has_ended_meanwhile(comfyui):
    """As where a busy machine is asked for the history just then."""
    steps: list[client.Step] = []
    with SyncClient(comfyui.url) as comfy:
        job = comfy.queue("text_to_image", seed=945, steps=5)
        comfyui.wait(job.prompt_id)
        assert job.result(steps.append).pictures
    assert [step.done for step in steps if step.stage == "StorefrontSample"][-1] == 5
    assert "Picture · 그림" in {step.stage for step in steps}


@pytest.mark.usefixtures("no_traceback")
def test_cancelling_while_it_draws_leaves_the_others_alone(comfyui):
    drawing = threading.Event()

    def heard(step: client.Step) -> None:
        if step.total == 9999:
            drawing.set()

    with SyncClient(comfyui.url) as comfy:
        first = comfy.queue("text_to_image", seed=901, **ENDLESS)
        second = comfy.queue("text_to_image", seed=902, **ENDLESS)
        third = comfy.queue("text_to_image", seed=903, steps=2)
        outcome: list[BaseException] = []

        def wait() -> None:
            try:
                first.result(heard)
            except client.ClientError as error:
                outcome.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert drawing.wait(300)
        second.cancel()  # waits in the queue; the first one goes on
        with pytest.raises(client.Cancelled, match="before it began"):
            second.result()
        running = comfyui.get("/queue")["queue_running"]
        assert [item[1] for item in running] == [first.prompt_id]
        first.cancel()
        waiting.join(60)  # thousands of steps take longer
        assert [type(error) for error in outcome] == [client.Cancelled]
        assert third.result().pictures


def test_a_run_that_nobody_waits_for_is_cancelled_on_the_server(comfyui):
    def stop(step: client.Step) -> None:
        if step.total == 9999:
            raise OSError("the program's own trouble")

    with SyncClient(comfyui.url) as comfy:
        with pytest.raises(client.RunTimeout, match="2 s"):
            comfy.run("text_to_image", seed=904, timeout=2, **ENDLESS)
        with pytest.raises(OSError, match="own trouble"):
            comfy.run("text_to_image", seed=905, progress=stop, **ENDLESS)

        async def task_cancelled():
            async with Client(comfyui.url) as other:
                task = asyncio.create_task(other.run("text_to_image", seed=906, **ENDLESS))
                await asyncio.sleep(1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        asyncio.run(task_cancelled())
        assert comfy.run("text_to_image", seed=907, steps=1).pictures
    queue = comfyui.get("/queue")
    assert not queue["queue_running"]
    assert not queue["queue_pending"]


INTERRUPTED = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
sys.path.insert(0, sys.argv[1])
from pack import import_pack
import_pack()
from storefront.client import SyncClient
with SyncClient(sys.argv[2]) as comfy:
    comfy.run("text_to_image", seed=908, steps=9999, progress=lambda step: print(step.total, flush=True))
"""


@pytest.mark.skipif(os.name == "nt", reason="!!! NO SIGINT ON WINDOWS: CTRL+C IN A CLIENT WAS NOT TESTED !!!")
def test_ctrl_c_cancels_the_prompt(comfyui):
    command = [sys.executable, "-c", INTERRUPTED, str(ROOT / "tools"), comfyui.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert any(line.strip() == "9999" for line in program.stdout)  # it draws
        program.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in program.stderr.read()
        assert program.wait(60) != 0
    queue = comfyui.get("/queue")
    assert not queue["queue_running"]
    assert not queue["queue_pending"]


@pytest.mark.parametrize("timeout", [2.0, None])
def test_a_run_given_up_while_the_server_takes_it_is_cancelled(comfyui, timeout):
    asked, taken, before = threading.Event(), threading.Event(), set(comfyui.get("/history"))

    async def slow(request):
        if request.path == "/prompt":
            asked.set()
            await asyncio.sleep(3)  # beyond the timeout, however soon it came
            taken.set()

    async def task_cancelled(url):
        async with Client(url) as comfy:
            task = asyncio.create_task(comfy.run("text_to_image", seed=940, timeout=timeout, **ENDLESS))
            if timeout is None:
                await asyncio.to_thread(asked.wait, 60)
                task.cancel()
            with pytest.raises(client.RunTimeout if timeout else asyncio.CancelledError):
                await task

    with proxy(comfyui.url, slow) as url:
        asyncio.run(task_cancelled(url))
        assert taken.wait(60)
    until(lambda: not any(comfyui.get("/queue").values()))
    added = {id: entry for id, entry in comfyui.get("/history").items() if id not in before}
    assert [id for id, entry in added.items() if entry["status"]["status_str"] == "success"] == []


def test_what_ended_a_run_is_heard_though_it_cannot_be_cancelled(comfyui):
    async def forbidden(request):
        return web.Response(status=403) if request.method == "POST" and request.path == "/queue" else None

    def stop(step: client.Step) -> None:
        if step.total == 9999:
            raise OSError("the program's own trouble")

    with proxy(comfyui.url, forbidden) as url, SyncClient(url) as comfy, pytest.raises(OSError, match="own trouble"):
        comfy.run("text_to_image", seed=941, progress=stop, **ENDLESS)
    (running,) = comfyui.get("/queue")["queue_running"]
    comfyui.get("/interrupt", {"prompt_id": running[1]})
    comfyui.wait(running[1])


@pytest.mark.parametrize("trouble", ["cut off", 502])
def test_pictures_are_fetched_through_lost_connections(comfyui, trouble):
    asked = []

    async def spoil(request):
        if request.path != "/view":
            return None
        asked.append(request.path)
        if len(asked) > 2:
            return None
        if trouble == "cut off":
            request.transport.abort()
        return web.Response(status=502)

    with proxy(comfyui.url, spoil) as url, SyncClient(url, patience=60) as comfy:
        run = comfy.run("text_to_image", seed=942, steps=1)
    assert len(asked) == 3
    assert pixels(run.pictures[0]).std() > 5


def test_a_lost_prompt_is_missed_though_the_server_talks_on(comfyui, monkeypatch):
    monkeypatch.setattr(client.connection, "HISTORY_INTERVAL", 1)
    outcome: list[BaseException] = []

    def wait() -> None:
        try:
            second.result()
        except client.ClientError as error:
            outcome.append(error)

    with proxy(comfyui.url, chatter=0.3) as url, SyncClient(url, patience=1) as comfy:
        first = comfy.queue("text_to_image", seed=943, **ENDLESS)
        second = comfy.queue("text_to_image", seed=944, **ENDLESS)
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.5)
        comfyui.get("/queue", {"delete": [second.prompt_id]})  # by somebody else
        waiting.join(60)
        first.cancel()
        assert [type(error) for error in outcome] == [client.PromptLost]


BAD = [
    ("text_to_image", {"prompts": "x"}, client.InputError, r"`prompts` is 'x'\. .*prompt, format, width"),
    ("text_to_picture", {}, client.InputError, "text_to_image"),
    ("text_to_image", {"guidance": float("nan")}, client.InputError, "`guidance` is nan"),
    ("text_to_image", {"prompt": object()}, client.InputError, "prompt"),
    ("text_to_image", {"inputs": {"44.seed": 1}}, client.InputError, r"4 \(StorefrontSample\)"),
    ("text_to_image", {"inputs": {"4.sed": 1}}, client.InputError, r"4\.seed"),
    ("image_to_image", {"photo": "/no/such/photo.png"}, client.InputError, "`photo` is '/no/such/photo.png'"),
    ("image_to_image", {"photo": b"no picture"}, client.InputError, "photo"),
    ("image_to_image", {"photo": "a\0b.png"}, client.InputError, "photo"),
    ("image_to_image", {"photo": Image.new("F", (8, 8))}, client.InputError, "`photo` is .*mode F"),
    ("image_to_image", {"photo": Image.new("I", (8, 8))}, client.InputError, "`photo` is .*mode I"),
    ("image_to_image", {"photo": np.zeros((8, 8, 3), np.uint8)}, client.InputError, "`photo` is 'ndarray'"),
    ("catalogue", {"photos": PHOTO}, client.InputError, "a list of pictures"),
    ("catalogue", {"headlines": ["one\ntwo"]}, client.InputError, "headlines"),
    ("text_to_image", {"steps": -1}, client.Refused, r"steps: .*StorefrontSample \(4\), steps"),
    ("text_to_image", {"steps": "many"}, client.Refused, r"steps: .*StorefrontSample"),
    ("text_to_image", {"model": "../../etc"}, client.Refused, r"model: .*StorefrontLoadModel"),
    ("product_composite", {"margin": 99}, client.Refused, r"margin: .*StorefrontPlanLayout"),
    ("product_composite", {"shadow": "loud"}, client.Refused, r"shadow: .*StorefrontPlaceProduct"),
    ("product_composite", {"headline": ""}, client.ExecutionFailed, r"StorefrontTextOverlay \(13\): `text`"),
    ("poster_from_photo", {"format": "9:16 story, reel"}, client.ExecutionFailed, "background"),
    ({"1": {"class_type": "NoSuchNode", "inputs": {}}}, {}, client.Refused, "NoSuchNode"),
    ({"nodes": []}, {}, client.InputError, "Export"),
]


@pytest.mark.parametrize(("workflow", "given", "error", "said"), BAD, ids=range(len(BAD)))
def test_what_is_wrong_is_said_by_name(comfyui, workflow, given, error, said):
    with SyncClient(comfyui.url) as comfy, pytest.raises(error, match=said):
        comfy.run(workflow, **given)
    assert not comfyui.get("/queue")["queue_running"]


def test_the_problem_tells_the_input(comfyui):
    with SyncClient(comfyui.url) as comfy, pytest.raises(client.Refused) as caught:
        comfy.run("product_composite", margin=99)
    (problem,) = caught.value.problems
    assert (problem.node, problem.node_type, problem.input) == ("11", "StorefrontPlanLayout", "margin")
    assert problem.parameter == "margin"


def test_a_workflow_of_ones_own_and_any_input(comfyui, tmp_path):
    path = tmp_path / "mine.json"
    shutil.copy(ROOT / "workflows" / "api" / "text_to_image.json", path)
    with SyncClient(comfyui.url) as comfy:
        mine = comfy.run(path, inputs={"2.prompt": "a green mug in a studio", "4.seed": 3, "4.steps": 4})
        named = comfy.run("text_to_image", prompt="a green mug in a studio", seed=3, steps=4)
        assert np.array_equal(pixels(mine.pictures[0]), pixels(named.pictures[0]))
        assert comfy.run(json.loads(path.read_text("utf-8"))).pictures


def test_the_same_upload_is_kept_once(comfyui):
    with SyncClient(comfyui.url) as comfy:
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
        names = {comfy.upload(buffer.getvalue()), comfy.upload(buffer.getvalue())}
    assert len(names) == 1
    assert (comfyui.base / "input" / names.pop()).read_bytes() == buffer.getvalue()


@pytest.mark.parametrize("mode", ["1", "LA", "P", "PA", "RGBa", "CMYK", "YCbCr", "HSV", "LAB", "I;16"])
def test_a_pillow_picture_of_any_mode_arrives_upright(comfyui, mode):
    picture = Image.new("RGB", (8, 4), "#c04020")
    if mode == "LAB":
        rgb, lab = (ImageCms.createProfile(space) for space in ("sRGB", "LAB"))
        picture = ImageCms.profileToProfile(picture, rgb, lab, outputMode="LAB")
    picture = picture.convert(mode)
    picture.getexif()[274] = 6  # turned by a quarter
    with SyncClient(comfyui.url) as comfy:
        name = comfy.upload(picture)
    assert Image.open(comfyui.base / "input" / name).size == (4, 8)


class Line:
    """A real connection to a server that can be cut: bytes are passed on as they are."""

    def __init__(self, url: str):
        self._target = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._port = 0
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def open(self) -> str:
        async def start() -> None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

        asyncio.run_coroutine_threadsafe(start(), self._loop).result(60)
        return f"http://127.0.0.1:{self._port}"

    def cut(self) -> None:
        async def stop() -> None:
            assert self._server is not None
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(60)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, other_writer}
        await asyncio.gather(self._pass(reader, other_writer), self._pass(other_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()
        self._writers.discard(writer)


# steps, seconds: it still runs when the line is back; it has ended meanwhile
@pytest.mark.parametrize(("steps", "back_after"), [(40, 0.3), (6, 2.0)])
def test_a_lost_connection_is_made_anew(comfyui, steps, back_after):
    line = Line(comfyui.url)

    def heard(step: client.Step) -> None:
        if step.total == steps and step.done >= 2 and not cuts:
            cuts.append(threading.Thread(target=interrupt))
            cuts[0].start()

    def interrupt() -> None:
        line.cut()
        time.sleep(back_after)
        line.open()

    cuts: list[threading.Thread] = []
    with SyncClient(line.open(), patience=120) as comfy:
        run = comfy.run("text_to_image", seed=920 + steps, steps=steps, progress=heard)
    line.cut()
    assert cuts
    assert pixels(run.pictures[0]).std() > 10


def test_a_server_that_forgot_the_prompt(comfyui):
    with SyncClient(comfyui.url) as comfy:
        first = comfy.queue("text_to_image", seed=930, **ENDLESS)
        second = comfy.queue("text_to_image", seed=931, **ENDLESS)
        comfyui.get("/queue", {"delete": [second.prompt_id]})  # by somebody else
        with pytest.raises(client.PromptLost, match="knows nothing"):
            second.result()
        first.cancel()
        with pytest.raises(client.Cancelled):
            first.result()


def test_a_server_that_dies_while_it_draws(tmp_path):
    if not (Path(NEWEST) / "main.py").is_file():
        pytest.skip(f"!!! NO COMFYUI IN {NEWEST}: NOTHING BELOW WAS TESTED ON IT !!!")
    server = dev.running_comfyui(Path(NEWEST), tmp_path / "base")
    url = server.__enter__()
    alive = True

    def kill(step: client.Step) -> None:
        nonlocal alive
        if step.total == 9999 and alive:
            alive = False
            threading.Thread(target=server.__exit__, args=(None, None, None)).start()

    with SyncClient(url, patience=2) as comfy:
        with pytest.raises(client.ConnectionLost, match="away for 2 s"):
            comfy.run("text_to_image", progress=kill, **ENDLESS)
        with pytest.raises(client.ConnectionLost, match="cannot be reached"):
            comfy.run("text_to_image")
    assert not alive


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1", "127.0.0.1:8188", "http://", "http://name:secret@127.0.0.1:8188", "file:///etc/passwd"]
)
def test_urls_that_are_none(url):
    with pytest.raises(client.InputError, match="url") as caught:
        Client(url)
    assert "secret" not in str(caught.value)


def test_what_is_no_comfyui(tmp_path):
    import http.server

    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with SyncClient(f"http://127.0.0.1:{server.server_port}") as comfy, pytest.raises(client.ClientError):
            comfy.run("text_to_image")
        server.shutdown()
