"""tritonserver as a child: started, waited for until every stage answers an inference, drained, and ended without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ...studio.errors import InputError
from .. import probe, stages
from . import engine
from .supervise import EVERY_SECONDS, POLL_SECONDS, Supervisor

STATE_FOLDER = "STOREFRONT_STATE"  # names a folder for the two files that `serve` and the orchestrator share:
DRAINING = "draining"  # while it is there, no new order is taken
DRAWINGS = "drawings"  # how many are not finished
EXIT_SECONDS = 10
CACHE_BYTES = 256 * 2**20  # of embeddings
REGIONS = "storefront_"  # begins the names of a server's shared memory; the id of the process that runs it follows
LOG = "tritonserver.log"
_SHARED_MEMORY = Path("/dev/shm")
# What nobody but whoever runs the server may ask it: strangers would read its memory, load models, write files.
RESTRICTED = "shared-memory,model-repository,logging,trace"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_POLL = 0.25


class Ports(NamedTuple):
    """Where a server listens."""

    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """For clients on this machine."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "") else self.host
        return f"http://{host}:{self.http}"

    def check(self) -> None:
        """Raise InputError for a port that is taken. Triton itself finds out only when all models are loaded."""
        for name, port in (("http_port", self.http), ("grpc_port", self.grpc), ("metrics_port", self.metrics)):
            with socket.socket() as probe_socket:
                probe_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe_socket.bind((self.host, port))
                except (OSError, OverflowError) as error:
                    raise InputError(name, port, f"a port that is free on {self.host} ({error})") from error


class Server:
    """A tritonserver that runs."""

    def __init__(self, process: subprocess.Popen, ports: Ports, folder: Path, region: str):
        self.process, self.ports, self.log = process, ports, folder / LOG
        self._folder, self._region = folder, region

    @property
    def url(self) -> str:
        """Its HTTP address."""
        return self.ports.url

    def wait_until_it_works(self, seconds: float) -> None:
        """Return when an inference of every stage has answered. Raises EngineError with the end of the log otherwise."""
        deadline = time.monotonic() + seconds
        wrong: dict[str, str] = {"server": "not ready"}
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise engine.EngineError(f"tritonserver stopped at start.\n{self.end_of_log()}")
            if _get(f"{self.url}/v2/health/ready") is not None:
                wrong = asyncio.run(probe.failing(self.url, max(deadline - time.monotonic(), 1)))
                if not wrong:
                    return
            time.sleep(_POLL)
        told = "; ".join(f"{stage}: {why}" for stage, why in wrong.items())
        raise engine.EngineError(f"after {seconds:g} s not every stage works. {told}\n{self.end_of_log()}")

    def end_of_log(self) -> str:
        """What went wrong, as far as its log tells."""
        return self.log.read_text("utf-8", "replace")[-3000:] if self.log.is_file() else ""

    def drawings(self) -> int:
        """How many are not finished."""
        try:
            return int((self._folder / DRAWINGS).read_text() or 1)  # empty while it is written
        except OSError:
            return 0  # there was none yet

    def stop(self, drain_seconds: float = 0) -> None:
        """Let drawings finish for up to `drain_seconds` while new ones are refused, then end it and all it started."""
        with contextlib.suppress(OSError):
            (self._folder / DRAINING).touch()
        deadline = time.monotonic() + drain_seconds
        while self.process.poll() is None and time.monotonic() < deadline and self.drawings():
            time.sleep(_POLL)
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(EXIT_SECONDS + 5)
        with contextlib.suppress(ProcessLookupError):  # stubs that a hasty exit left behind are of its group
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        deadline = time.monotonic() + EXIT_SECONDS
        while (
            _lives(self.process.pid) and time.monotonic() < deadline
        ):  # a killed one has its memory to give back first
            time.sleep(_POLL / 10)
        for left in _SHARED_MEMORY.glob(f"{self._region}*"):
            with contextlib.suppress(OSError):
                left.unlink()


def _lives(group: int) -> bool:
    """Whether a process of a group does more than wait for its parent to hear of its end."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # one that has ended meanwhile
            state, _, its_group = stat.read_text("utf-8", "replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                return True
    return False


def _get(url: str) -> str | None:
    """The text at an address on this machine; None where there is none."""
    try:
        # Without the proxies that the environment names.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=5) as answer:
            return answer.read().decode("utf-8", "replace")
    except (OSError, ValueError):
        return None


def command(found: engine.Engine, repository: Path, ports: Ports, region: str) -> list[str]:
    """tritonserver's command line."""
    line = [str(found.binary), "--model-repository", str(repository), "--backend-directory", str(found.backends)]
    for name in ("http", "grpc", "metrics"):
        line += [f"--{name}-address", ports.host, f"--{name}-port", str(getattr(ports, name))]
    key = f"{RESTRICTED}:storefront-key={secrets.token_hex()}"  # that of nobody: not even `serve` asks for them
    line += ["--http-restricted-api", key, "--grpc-restricted-protocol", key]
    line += ["--disable-auto-complete-config", "--exit-timeout-secs", str(EXIT_SECONDS)]
    # A stage whose code is newer is loaded anew: so `supervise` revives a dead one. Loading by request would need a key, which
    # every user of this machine could read in the list of processes.
    line += ["--model-control-mode", "poll", "--repository-poll-secs", str(POLL_SECONDS)]
    # One after the other: while several stubs start at once, 2.51 may die (boost lock_exception) or wait for ever.
    line += ["--model-load-thread-count", "1"]
    line += ["--backend-config", f"python,shm-region-prefix-name={region}"]
    if (found.caches / "local").is_dir():
        line += ["--cache-config", f"local,size={CACHE_BYTES}", "--cache-directory", str(found.caches)]
    if not shutil.which("nvidia-smi"):
        line.append("--allow-gpu-metrics=false")
    return line


def _ends_with_parent() -> Callable[[], object]:
    """For the child, before it becomes tritonserver: it is to end when this process does, even by kill -9."""
    if sys.platform != "linux":
        return lambda: None
    library = ctypes.CDLL(None)  # here: between fork and exec nothing should be loaded
    return lambda: library.prctl(_DEATH_SIGNAL, signal.SIGTERM)


@contextlib.contextmanager
def running(repository: Path, ports: Ports, folder: Path, *, wait: float = 300, drain: float = 30) -> Iterator[Server]:
    """A server of a repository that works; at the end no process and no shared memory of it is left.

    folder: for its log and the like. wait: seconds until it has to work; drain: seconds that drawings may take at the end.
    Raises InputError for a port that is taken and a folder that is no repository, EngineError where it does not start.
    """
    if not (repository / stages.ORCHESTRATOR / "config.pbtxt").is_file():
        raise InputError("repository", str(repository), "a folder that `export` wrote")
    ports.check()
    found = engine.find()
    _sweep()
    region = f"{REGIONS}{os.getpid()}_{secrets.token_hex(4)}_"
    for name in (DRAINING, DRAWINGS):
        (folder / name).unlink(missing_ok=True)
    environment = {**os.environ, **found.environment, STATE_FOLDER: str(folder), "HF_HUB_OFFLINE": "1"}
    with (folder / LOG).open("w") as output:
        process = subprocess.Popen(
            command(found, repository, ports, region),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
            preexec_fn=_ends_with_parent(),
        )
    server = Server(process, ports, folder, region)
    drained = 0.0
    try:
        server.wait_until_it_works(wait)
        drained = drain
        yield server
    finally:
        server.stop(drained)


def _sweep() -> None:
    """Remove the shared memory of servers whose `serve` was killed and could not."""
    for left in _SHARED_MEMORY.glob(f"{REGIONS}*"):
        owner = left.name.removeprefix(REGIONS).partition("_")[0]
        if owner.isdecimal() and not Path("/proc", owner).exists():
            with contextlib.suppress(OSError):
                left.unlink()


class _StoppedError(KeyboardInterrupt):
    """By a signal. An event loop passes on no other exception that is raised in a callback."""


class _Signals:
    """While it is entered, the first SIGINT or SIGTERM raises _StoppedError; others do not end what is being ended."""

    def __init__(self) -> None:
        self._came = False

    def __enter__(self) -> _Signals:
        self._before = {number: signal.signal(number, self._stop) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, *_: object) -> None:
        self._came = True
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise _StoppedError

    def check(self) -> None:
        """Raise _StoppedError where one has come: what is raised in a finalizer is swallowed."""
        if self._came:
            raise _StoppedError


def serve(
    repository: Path,
    ports: Ports,
    say: Callable[[str], object],
    drain: float,
    seconds: float,
    every: float = EVERY_SECONDS,
) -> int:
    """Run a server until SIGINT or SIGTERM, its stages looked after every so many seconds. 0 where it ended so, 1 where it died."""
    with _Signals() as signals:
        folder = Path(tempfile.mkdtemp(prefix="storefront-triton-"))
        try:
            say(f"Starting tritonserver; its log: {folder / LOG}")
            with running(repository, ports, folder, wait=seconds, drain=drain) as server:
                say(f"HTTP      {server.url}")
                say(f"gRPC      {ports.host}:{ports.grpc}")
                say(f"metrics   http://{ports.host}:{ports.metrics}/metrics")
                say(json.dumps({"ready": True, "pid": server.process.pid}))
                supervisor = Supervisor(server.url, server.process.pid, repository, say, every)
                try:
                    while server.process.poll() is None:
                        signals.check()
                        supervisor.look()
                        time.sleep(_POLL)
                except _StoppedError:
                    say(f"Stopping; drawings may take up to {drain:g} s more.")
                    return 0
                say(f"tritonserver died.\n{server.end_of_log()}")
                return 1
        except _StoppedError:
            return 0
        finally:
            shutil.rmtree(folder, ignore_errors=True)
