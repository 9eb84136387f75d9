"""Files that are damaged, of every kind that is opened: each is opened as what it is, or refused by name, in little time and memory."""

from __future__ import annotations

import os
import random
import time
import traceback
from collections import Counter
from pathlib import Path

import pytest
import stored_victims
import victims
from storefront.studio.errors import InputError

LONGEST = 10.0  # seconds of processor time; a good file takes less than one
MOST = 4096  # MiB beyond what the process had: Pillow allows 178 million pixels, which are 2 GB as numbers
HIGHEST, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
FINE = ("opened", "refused")
SEED = os.environ.get("STOREFRONT_HOLD_SEED", "20261129")


def highest() -> float:
    """MiB that the process has had at most since `begin`; 0 where the system does not say."""
    if not HIGHEST.exists():
        return 0
    (line,) = [line for line in HIGHEST.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def begin() -> float:
    """MiB that the process has, from where its highest mark is counted."""
    if CLEAR.exists():
        CLEAR.write_text("5")
    return highest()


def answer(victim: victims.Victim) -> tuple[str, str]:
    """(kind of answer, what is wrong with it)."""
    try:
        victim.open()
    except InputError as error:
        if any(name in str(error) for name in victim.named):
            return "refused", str(error)
        return "unnamed", f"{victim.name}: {error}"[:600]
    except Exception:
        return "unclear", f"{victim.name}: {traceback.format_exc()[-2500:]}"
    return "opened", ""


def attacked(victim: victims.Victim, chance: random.Random, good: bytes) -> tuple[str, str]:
    """The answer to a damaged copy in the file's place, which is whole again afterwards."""
    damaged = victim.path.with_name(".damaged")
    damaged.write_bytes(victim.damage(good, chance))
    damaged.replace(victim.path)  # another inode: a mapped file may still be read
    before, start = begin(), time.process_time()
    try:
        kind, wrong = answer(victim)
        seconds, mebibytes = time.process_time() - start, highest() - before
    finally:
        damaged.write_bytes(good)
        damaged.replace(victim.path)
    if seconds > LONGEST:
        return "slow", f"{victim.name}: {seconds:.1f} s"
    if mebibytes > MOST:
        return "large", f"{victim.name}: {mebibytes:.0f} MiB"
    return kind, wrong


def attack(found: list[victims.Victim], count: int) -> tuple[Counter, list[str]]:
    """`count` attacks, on one file after another."""
    chance = random.Random(int(SEED))
    answers: Counter = Counter()
    wrong = []
    good = {victim.name: victim.path.read_bytes() for victim in found}
    order = chance.sample(found, len(found))
    for number in range(count):
        victim = order[number % len(order)]
        kind, why = attacked(victim, chance, good[victim.name])
        answers[kind] += 1
        wrong += [f"attack {number}: {why}"] if kind not in FINE else []
    return answers, wrong


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return stored_victims.stored(tmp_path_factory.mktemp("stored"))


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return victims.others(tmp_path_factory.mktemp("others"))


@pytest.mark.parametrize("kind", ["stored", "others"])
def test_the_files_themselves_open(kind, request):
    """Where a whole one is refused, its attacks hold nothing."""
    ways = {victim.open: victim for victim in request.getfixturevalue(kind)}  # several files of a folder have one
    answers = {victim.name: answer(victim) for victim in ways.values()}
    failed = [f"{name}: {said}" for name, said in answers.items() if said[0] != "opened"]
    assert not failed, "\n".join(failed)


@pytest.fixture
def bounded():
    """A file that asks for all memory gets an error with its stack, and does not end the test and its neighbours."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if HIGHEST.exists() else 0
    most = pages * resource.getpagesize() + 2 * MOST * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most if pages else before[0], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("kind", ["stored", "others"])
def test_damaged_files_are_opened_or_refused_by_name(kind, request, size):
    found = request.getfixturevalue(kind)
    start, before = time.monotonic(), begin()
    answers, wrong = attack(found, size(150, 2500))
    print(
        f"\ndamaged files, {kind}: {sum(answers.values())} of {len(found)} kinds, {dict(answers)}, "
        f"{time.monotonic() - start:.0f} s, memory {before:.0f} MiB, {begin() - before:+.0f} MiB"
    )
    assert not wrong, "\n\n".join(wrong[:12])
