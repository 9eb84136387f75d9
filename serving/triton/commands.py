"""`python -m serving COMMAND`: FLUX in stages on NVIDIA Triton Inference Server.

setup            tritonserver from the package registry, without root (Linux x86-64)
export MODEL DEST   the model repository of a diffusers folder or a single file
serve DEST       run it; Ctrl+C or SIGTERM ends it when all drawings are finished
probe URL        an inference of every stage of a running server
draw URL PROMPT  a picture by a running server, into a file
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ...studio.errors import InputError
from . import engine


def _setup(options: argparse.Namespace) -> int:
    found = engine.set_up()
    print(f"tritonserver {engine.TRITON_VERSION}: {found.binary}")
    return 0


def _export(options: argparse.Namespace) -> int:
    from .export import Deployment, export

    deployment = Deployment(options.device, options.instances, options.threads, options.delay, options.largest)
    names = export(Path(options.model), Path(options.dest), deployment)
    print(f"{options.dest}: {', '.join(names)}")
    return 0


def _serve(options: argparse.Namespace) -> int:
    from .serve import Ports, serve

    ports = Ports(options.http_port, options.grpc_port, options.metrics_port, options.host)
    return serve(
        Path(options.dest), ports, lambda text: print(text, flush=True), options.drain, options.wait, options.probe
    )


def _probe(options: argparse.Namespace) -> int:
    from ..probe import failing

    wrong = asyncio.run(failing(options.url, options.seconds))
    for stage, why in wrong.items():
        print(f"{stage}: {why}")
    print("every stage works" if not wrong else f"{len(wrong)} stages do not work")
    return 1 if wrong else 0


def _draw(options: argparse.Namespace) -> int:
    from ...studio.images import to_pil
    from ..client import SyncClient

    def progress(done: int, total: int) -> None:
        print(f"step {done} of {total}", flush=True)

    with SyncClient(options.url) as server:
        drawn = server.draw(
            options.prompt,
            width=options.width,
            height=options.height,
            steps=options.steps,
            seed=options.seed,
            progress=progress,
        )
    to_pil(drawn.images)[0].save(options.out)
    print(f"{options.out}: {drawn.status}")
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name)
        added.set_defaults(run=run)
        return added

    command("setup", _setup)
    export = command("export", _export)
    export.add_argument("model", metavar="MODEL", help="a diffusers folder, or a single file that holds everything")
    export.add_argument("dest", metavar="DEST", help="a new or empty folder, or an earlier export")
    export.add_argument("--device", default="cpu", choices=("cpu", "gpu"))
    export.add_argument("--instances", type=int, default=1, help="of the transformer")
    export.add_argument("--threads", type=int, default=1, help="of each stage on the CPU")
    export.add_argument("--delay", type=int, help="microseconds that a request waits for others to be drawn with")
    export.add_argument("--largest", type=int, default=2048, help="pixels of a picture's width, and of its height")
    serve = command("serve", _serve)
    serve.add_argument("dest", metavar="DEST", help="what `export` wrote")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on; there is no key: keep it private")
    for name, port in (("http", 8000), ("grpc", 8001), ("metrics", 8002)):
        serve.add_argument(f"--{name}-port", type=int, default=port)
    serve.add_argument("--wait", type=float, default=600, help="seconds until every stage has to work")
    serve.add_argument("--drain", type=float, default=120, help="seconds for drawings to finish at the end")
    serve.add_argument(
        "--probe", type=float, default=30, help="seconds between two looks at the stages; a dead one is revived"
    )
    probe = command("probe", _probe)
    probe.add_argument("url", metavar="URL")
    probe.add_argument("--seconds", type=float, default=60, help="for each stage")
    draw = command("draw", _draw)
    draw.add_argument("url", metavar="URL")
    draw.add_argument("prompt", metavar="PROMPT")
    draw.add_argument("--out", default="drawn.png")
    for name in ("width", "height", "steps"):
        draw.add_argument(f"--{name}", type=int)
    draw.add_argument("--seed", type=int, default=0)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of a command."""
    from ..client import ServingError

    options = _arguments().parse_args(arguments)
    try:
        return options.run(options)
    except (InputError, engine.EngineError, ServingError) as error:
        print(error, file=sys.stderr)
        return 2
