"""The commands of a clone: `python dev.py COMMAND`. Standard library only.

demo            the first picture, in .demo
run             ComfyUI's editor with this pack alone
setup           .venv with everything that the tests need
check           lint, format, types
test            everything that CI runs
test PATH ...   pytest on some files
test --fast     unit tests without the comparisons against diffusers
test --lowest, --newest   with each dependency at the end of its range
hold            the attacks of tests/hold at full size
snapshot        write the snapshot of node ids and inputs anew
new-node NAME   the stubs of a new node: node, help, locale, test
lock            resolve the developers' lock anew

Each makes `.venv` where there is none, from the lock, and finds ComfyUI: the folder that COMFYUI_PATH names; else the
one whose custom_nodes this folder is in; else ~/.cache/storefront/ComfyUI; else a clone from GitHub.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# Not resolved: a link in custom_nodes belongs to the ComfyUI that it lies in.
sys.path.insert(0, str(Path(os.path.abspath(__file__)).parent / "tools"))  # noqa: PTH100

from devtools import VENV, checks, demo, say, scaffold
from devtools.comfyui import find_comfyui
from devtools.environment import renew_lock, set_up


def setup() -> int:
    set_up(find_comfyui(), test=True)
    say(f"Ready: {VENV}. Next: python dev.py check")
    return 0


def lock() -> int:
    renew_lock(find_comfyui())
    return 0


def run_tests(options: argparse.Namespace) -> int:
    for end in ("lowest", "newest"):
        if getattr(options, end):
            return checks.test_end(end)
    return checks.test(options.paths, options.fast)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    simple = {
        "demo": demo.demo,
        "setup": setup,
        "check": checks.check,
        "hold": checks.hold,
        "snapshot": checks.snapshot,
        "lock": lock,
    }
    for name, function in simple.items():
        commands.add_parser(name).set_defaults(run=lambda _, function=function: function())
    server = commands.add_parser("run")
    server.add_argument("--port", type=int, default=8188)
    server.set_defaults(run=lambda options: demo.run(options.port))
    test = commands.add_parser("test")
    test.add_argument("paths", nargs="*", help="test files or folders; none: all, with the checks")
    for flag in ("fast", "lowest", "newest"):
        test.add_argument(f"--{flag}", action="store_true")
    test.set_defaults(run=run_tests)
    node = commands.add_parser("new-node")
    node.add_argument("name", help="for example GreetingCard: the node's id becomes StorefrontGreetingCard")
    node.set_defaults(run=lambda options: scaffold.new_node(options.name))
    return parser


def main() -> int:
    if sys.version_info < (3, 10):  # noqa: UP036, a user may start it with any Python
        sys.exit(f"Python {sys.version.split()[0]} is too old. Use 3.10 or newer.")
    options = parser().parse_args()
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
