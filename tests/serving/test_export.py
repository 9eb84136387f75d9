"""The model repository, its stages without Triton, and answers as they travel. Needs no tritonserver."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import struct
import subprocess
import sys

import pytest
from storefront.serving import stages, wire
from storefront.serving.about import About
from storefront.serving.probe import EVERY_STAGE
from storefront.serving.triton import alone, serve
from storefront.serving.triton.commands import main
from storefront.serving.triton.export import Deployment, export
from storefront.serving.triton.serve import Ports
from storefront.studio.errors import InputError
from triton_server import MICRO, group

ALL = (*EVERY_STAGE, "bls")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    target = tmp_path_factory.mktemp("export") / "repository"
    assert set(export(MICRO, target, Deployment(delay=500, instances=2))) == set(ALL)
    return target


def test_it_holds_a_model_for_each_stage(repository):
    assert {path.name for path in repository.iterdir()} == set(ALL)
    for name in ALL:
        assert {str(path.relative_to(repository / name)) for path in (repository / name).rglob("*.*")} == {
            "config.pbtxt",
            "1/model.py",
        }
    texts = {name: (repository / name / "config.pbtxt").read_text() for name in ALL}
    assert "decoupled: true" in texts["bls"]
    assert "dynamic_batching" not in texts["bls"]
    assert "max_queue_delay_microseconds: 500" in texts["dit_transformer"]
    assert "count: 2" in texts["dit_transformer"]
    assert {name for name, text in texts.items() if "response_cache" in text} == {"clip_encoder", "t5_encoder"}


def test_it_can_be_written_over_an_earlier_one_and_over_nothing_else(repository, tmp_path):
    export(MICRO, repository, Deployment(delay=700))
    assert "microseconds: 700" in (repository / "dit_transformer" / "config.pbtxt").read_text()
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match=r"`dest` is .*photos"):
        export(MICRO, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"`dest` is .*a folder"):
        export(MICRO, tmp_path / "file")
    assert (tmp_path / "photos").is_dir()


def test_cards_take_bf16(tmp_path):
    export(MICRO, tmp_path / "gpu", Deployment(device="gpu"))
    text = (tmp_path / "gpu" / "dit_transformer" / "config.pbtxt").read_text()
    assert "KIND_GPU" in text
    assert 'key: "dtype" value { string_value: "bf16" }' in text
    assert "KIND_CPU" in (tmp_path / "gpu" / "bls" / "config.pbtxt").read_text()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"device": "tpu"}, "device"),
        ({"instances": 0}, "instances"),
        ({"threads": -1}, "threads"),
        ({"delay": -5}, "delay"),
        ({"largest": 0}, "largest"),
    ],
)
def test_a_deployment_that_cannot_be_is_refused(tmp_path, options, named):
    with pytest.raises(InputError, match=f"`{named}` is "):
        export(MICRO, tmp_path / "none", Deployment(**options))
    assert not (tmp_path / "none").exists()


def test_what_is_no_flux_1_is_refused(tmp_path, capsys):
    assert main(["export", str(tmp_path), str(tmp_path / "repository")]) == 2
    assert "`model" in capsys.readouterr().err
    assert not (tmp_path / "repository").exists()


def test_a_stage_runs_by_itself(repository, tmp_path):
    """As a user does it, from any folder."""
    file = repository / "vae_decoder" / "1" / "model.py"
    done = subprocess.run([sys.executable, str(file)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^vae_decoder: [\d.]+ s$", done.stdout, re.M)
    assert "images FP32 [1, 3, 64, 64]" in done.stdout


@pytest.mark.parametrize("name", [name for name in ALL if name != "vae_decoder"])
def test_every_other_stage_runs_by_itself(repository, capsys, name):
    text = (repository / name / "config.pbtxt").read_text()
    found = dict(re.findall(r'parameters \{ key: "(\w+)" value \{ string_value: "([^"]*)" \} \}', text))
    assert alone.run(name, found) == 0
    told = capsys.readouterr().out
    wanted = stages.ORDERS if name == "bls" else next(one for one in facts() if one.name == name)
    assert f"  {wanted.outputs[0].name} FP32 [" in told


def facts() -> tuple[stages.StageFacts, ...]:
    from storefront.studio.opening.models import ModelFiles, describe

    return stages.stages_of(describe(ModelFiles.whole(MICRO)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("defaults", "[4, 1e999, 1]"),
        ("defaults", f"[4, 1{'0' * 400}, 1]"),
        ("defaults", "[4, NaN, 1]"),
        ("note", "5"),
        ("scheduler_config", '{"shift": 1e999}'),
        ("channels", "0"),
        ("channels", "1.5"),
        ("channels", "true"),
    ],
)
def test_a_description_that_no_sampler_could_use_is_refused(name, value):
    from storefront.studio.opening.models import ModelFiles, describe

    text = About.of(describe(ModelFiles.whole(MICRO)), 64).to_text()
    assert About.from_text(text).to_text() == text
    own = json.dumps(json.loads(text)[name], ensure_ascii=False)
    broken = text.replace(f'"{name}": {own}', f'"{name}": {value}')
    assert broken != text
    with pytest.raises(InputError, match="`about` is 'not readable'"):
        About.from_text(broken)


# --- as it travels ----------------------------------------------------------------------------------------------------


def answer(size: int = 8, shape: tuple[int, ...] = (1, 2), data: bytes = struct.pack("<2f", 1, 2)) -> tuple[bytes, str]:
    described = (
        f'{{"name": "y", "datatype": "FP32", "shape": {list(shape)}, "parameters": {{"binary_data_size": {size}}}}}'
    )
    header = f'{{"outputs": [{described}]}}'.encode()
    return header + data, str(len(header))


def test_an_answer_is_read():
    (value,) = wire.response(*answer()).values()
    assert (value.dtype, value.shape) == ("FP32", (1, 2))
    assert struct.unpack("<2f", value.data) == (1, 2)


@pytest.mark.parametrize(
    "broken",
    [
        answer(data=b"\0\0"),
        answer(size=4),
        answer(shape=(2, 2)),
        answer(shape=(-1, -2)),
        answer(shape=(0, 4), size=0, data=b""),
        answer(shape=(0,)),
        (
            b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 1e999}}]}',
            None,
        ),
        (b"", None),
        (b"[]", None),
        (b'{"outputs": 5}', None),
        (b'{"outputs": [{"name": "y"}]}', None),
        (b"{}", "many"),
        (b"[" * 100_000, None),
        (b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "parameters": {}}]}', None),
    ],
    ids=range(14),
)
def test_a_broken_answer_is_an_error_of_the_wire(broken):
    with pytest.raises(wire.WireError):
        wire.response(*broken)


def test_events_come_whole_however_the_stream_is_cut():
    stream = 'data: {"a": 1}\n\ndata: {"b": "서울"}\n\ndata: {"c": []}\n\n'.encode()
    wanted = [{"a": 1}, {"b": "서울"}, {"c": []}]
    for size in range(1, len(stream) + 1):
        events = wire.Events(1000)
        assert [event for at in range(0, len(stream), size) for event in events.add(stream[at : at + size])] == wanted


@pytest.mark.parametrize("chunk", [b"x" * 2000, b"data: 5\n\n", b"data: {\n\n", b"<html>\n\n"])
def test_a_broken_stream_is_an_error_of_the_wire(chunk):
    with pytest.raises(wire.WireError):
        list(wire.Events(1000).add(chunk))


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_cannot_be_is_refused(port):
    with pytest.raises(InputError, match="`grpc_port` is "):
        Ports(http=0, grpc=port, metrics=0).check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_stages_are_asked_ends_serve(number):
    """It comes in a callback of the event loop, which logs most exceptions and goes on; and in a finalizer."""

    async def asking() -> None:
        asyncio.get_running_loop().call_soon(signal.raise_signal, number)
        await asyncio.sleep(5)

    before = signal.getsignal(number)
    with pytest.raises(serve._StoppedError), serve._Signals():
        asyncio.run(asking())
    assert signal.getsignal(number) == before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_python_swallowed_ends_serve():
    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    with serve._Signals() as signals:
        signals.check()
        Finalized()
        with pytest.raises(serve._StoppedError):
            signals.check()


# A leader that ends at once, and a process of its group that does not, with memory that takes its time to be given back.
LINGERING = """
import os, signal, time
if not os.fork():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    memory = bytearray(b"x") * (1 << 29)
    print("up", flush=True)
time.sleep(100)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="!!! ONLY LINUX HAS tritonserver: ITS END WAS NOT TESTED !!!")
def test_no_process_is_left_when_stop_returns(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", LINGERING], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout.readline() == "up\n"
        serve.Server(process, Ports(), tmp_path, "storefront_none_").stop()
        assert group(process.pid) == set()
