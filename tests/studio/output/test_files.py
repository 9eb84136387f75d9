"""Whole files only, whatever is killed; nothing overwritten, whoever else writes; nothing outside the folder."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from PIL import Image
from storefront.studio.errors import InputError
from storefront.studio.output import files
from storefront.studio.output.encode import digest

SAVE_MANY = Path(__file__).with_name("save_many.py")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def writer(folder: Path, number: int, count: int, *more: str) -> subprocess.Popen:
    command = [sys.executable, str(SAVE_MANY), str(folder), str(number), str(count), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def reported(output: str) -> dict[str, str]:
    """Path -> digest of every save that was reported."""
    lines = [line.split() for line in output.splitlines() if line.startswith("SAVED") and len(line.split()) == 3]
    return {path: pixels for _, path, pixels in lines if len(pixels) == 64}


def whole_pictures(folder: Path) -> dict[str, str]:
    """Path -> digest of every file that a user sees; each must open whole."""
    found = {}
    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as picture:
            picture.load()
            found[path.relative_to(folder).as_posix()] = digest(picture)
    return found


def test_kill_9_during_200_saves_leaves_whole_files_and_loses_none(tmp_path):
    """Processes killed one after the other, at any moment, until 200 saves were reported."""
    moments = random.Random(5)
    done: dict[str, str] = {}
    kills = 0
    while len(done) < 200:
        process = writer(tmp_path, kills, 10_000)
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(moments.randint(30, 70))]  # however slow the machine is
        time.sleep(moments.uniform(0, 0.02))
        process.kill()
        output, errors = process.communicate()
        assert not errors
        done |= reported("".join(seen) + output)
        kills += 1
    found = whole_pictures(tmp_path)
    assert kills >= 2
    assert {path: found.get(path) for path in done} == done
    assert len(found) <= len(done) + kills  # one may have been written and not yet reported
    others = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".png"]
    assert all(path.name.startswith(".storefront-") for path in others)
    assert len(others) <= kills
    for path in others:  # an hour later the next save clears them away
        os.utime(path, (0, 0))
        files.write_once(path.parent, f"next-{path.name.strip('.')}.png", lambda: b"")
    assert not list(tmp_path.rglob(".storefront-*"))


def test_two_processes_saving_500_pictures_into_one_folder(tmp_path):
    writers = [writer(tmp_path, number, 250) for number in (1, 2)]
    outputs = [process.communicate(timeout=600) for process in writers]
    assert [errors for _, errors in outputs] == ["", ""]
    first, second = (reported(output) for output, _ in outputs)
    assert len(first) == len(second) == 250
    assert not set(first) & set(second)
    assert whole_pictures(tmp_path) == first | second


def test_a_disk_that_is_full_leaves_nothing_and_says_so(tmp_path):
    """A limit on the size of files, which a picture of noise meets half-way."""
    process = writer(tmp_path, 1, 1, "10000")
    _, errors = process.communicate(timeout=600)
    assert "StorageError: a picture of 0.0 MiB could not be saved: the file is larger" in errors
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.skipif(not Path("/dev/shm").is_dir() or os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_small_disk(tmp_path):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]).returncode:
        pytest.skip("!!! NO SMALL DISK COULD BE MOUNTED !!!")

    def fill() -> None:
        for number in range(100):
            files.write_numbered(tmp_path, r"a([0-9]+)", "a{}".format, os.urandom(9_999 + number))

    try:
        with pytest.raises(files.StorageError, match="the disk of the output folder is full"):
            fill()
        left = sorted(path.name for path in tmp_path.iterdir())
        assert left == sorted(f"a{number}" for number in range(1, len(left) + 1))
        assert {(tmp_path / name).stat().st_size // 1000 for name in left} <= {9, 10}
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


NOBODY = 65534


def as_nobody(work) -> str:
    """What `work` raises in a process that may write nowhere; root may write everywhere, read-only or not."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        said = "nothing"
        try:
            if os.geteuid() == 0:
                os.setuid(NOBODY)
            work()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as heard:
        said = heard.read()
    os.waitpid(child, 0)
    return said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has neither fork nor modes")
@pytest.mark.parametrize("mode", [0o555, 0o111])
def test_a_folder_that_may_not_be_written_or_read_says_so(mode):
    with tempfile.TemporaryDirectory() as outer:  # pytest's own are closed to others: whatever is in them says so
        Path(outer).chmod(0o755)
        locked = Path(outer, "output")
        locked.mkdir()
        assert as_nobody(locked.iterdir) == "nothing"
        locked.chmod(mode)
        try:
            for work in (
                lambda: numbered(locked, b"a"),
                lambda: files.write_once(locked, "a.png", lambda: b"a"),
                lambda: files.folder_inside(locked, ("ads",)),
            ):
                said = as_nobody(work)
                assert said.startswith("StorageError: "), said
                assert "the output folder does not allow it" in said, said
        finally:
            locked.chmod(0o755)
        assert list(locked.iterdir()) == []
        assert numbered(locked, b"a") == ("cup_00001_.png", True)


@pytest.mark.parametrize("hours", [-48, 48], ids=["set forward since", "set back since"])
def test_a_clock_that_was_set_loses_and_overwrites_nothing(tmp_path, hours):
    assert [numbered(tmp_path, data)[0] for data in (b"a", b"b")] == ["cup_00001_.png", "cup_00002_.png"]
    for path in tmp_path.iterdir():
        os.utime(path, (time.time() + hours * 3600,) * 2)
    assert numbered(tmp_path, b"c") == ("cup_00003_.png", True)
    assert numbered(tmp_path, b"b") == ("cup_00002_.png", False)
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"a", b"b", b"c"]


def numbered(folder: Path, data: bytes, stem: str = "cup") -> tuple[str, bool]:
    return files.write_numbered(folder, stem + r"_([0-9]{1,9})_\.\w+", lambda n: f"{stem}_{n:05}_.png", data)


def test_numbers_go_on_after_the_highest(tmp_path):
    (tmp_path / "cup_00007_.jpg").write_bytes(b"x")
    (tmp_path / "cups_00099_.png").write_bytes(b"x")
    (tmp_path / "cup_12_34_.png").write_bytes(b"x")
    assert numbered(tmp_path, b"a") == ("cup_00008_.png", True)
    assert numbered(tmp_path, b"b") == ("cup_00009_.png", True)
    assert numbered(tmp_path, b"a") == ("cup_00008_.png", False)
    assert (tmp_path / "cup_00008_.png").read_bytes() == b"a"


def test_nothing_is_overwritten_not_even_a_broken_link(tmp_path):
    (tmp_path / "cup_00001_.png").symlink_to(tmp_path / "elsewhere")
    assert files.write_once(tmp_path, "cup_00001_.png", lambda: b"a") is False
    assert numbered(tmp_path, b"a") == ("cup_00002_.png", True)
    assert not (tmp_path / "elsewhere").exists()


def test_where_there_are_no_hard_links_a_name_is_claimed_first(tmp_path):
    """As on FAT. What stands in for a link, called as the refused link would call it."""
    for name, data in (("first", b"a"), ("second", b"b")):
        (tmp_path / name).write_bytes(data)
    assert files._publish_without_links(tmp_path / "first", tmp_path / "cup.png") is True
    assert files._publish_without_links(tmp_path / "second", tmp_path / "cup.png") is False
    assert (tmp_path / "cup.png").read_bytes() == b"a"
    assert not (tmp_path / "first").exists()


def test_links_that_lead_out_are_refused_and_others_followed(tmp_path):
    outside, root = tmp_path / "outside", tmp_path / "output"
    outside.mkdir()
    (root / "inside").mkdir(parents=True)
    (root / "out").symlink_to(outside)
    (root / "relative").symlink_to("../outside")
    (root / "nothing").symlink_to(tmp_path / "nothing")
    (root / "loop").symlink_to(root / "loop")
    (root / "in").symlink_to(root / "inside")
    (root / "file").write_bytes(b"x")
    for part in ("out", "relative", "nothing", "loop", "file"):
        for parts in ((part,), (part, "deeper"), ("inside", "..", part)):
            with pytest.raises((InputError, files.StorageError)):
                files.folder_inside(root, parts)
    assert files.folder_inside(root, ("in", "deeper")) == root / "in" / "deeper"
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "nothing").exists()


def test_the_output_folder_itself_may_be_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "output").symlink_to(tmp_path / "disk")
    assert files.folder_inside(tmp_path / "output", ("a", "b")) == tmp_path / "disk" / "a" / "b"
