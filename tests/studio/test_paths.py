"""Names from strangers as files inside a folder, on Windows' rules too."""

from __future__ import annotations

import pytest
from storefront.studio import paths

ANYWHERE = ["", "..", "../x.png", "a/../../x.png", "/etc/passwd", "a\0b.png"]
ON_WINDOWS = [
    "C:x.png",
    r"C:\x.png",
    "c:/x.png",
    r"\\server\share\x.png",
    "//server/share/x.png",
    r"\\?\C:\x.png",
    r"\\.\NUL",
    r"\x.png",
    r"a\..\..\x.png",
    "NUL",
    "nul.png",
    "a/Con.webp",
    "COM1.png",
    "lpt¹.txt",
    "aux .png",
    "x.png.",
    "x.png ",
    "folder./x.png",
    "x.png:stream",
    "x.png::$DATA",
]
FINE = ["x.png", "a/b/x.png", "다온커피.png", "console.png", "com10.png", "nullable.png", "a.b.c.png"]


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize("name", ANYWHERE)
def test_what_leads_out_of_a_folder_is_no_file_in_it(tmp_path, name, windows):
    assert paths.inside(tmp_path, name, windows) is None


@pytest.mark.parametrize("name", ON_WINDOWS)
def test_what_windows_opens_elsewhere_or_under_another_name(tmp_path, name):
    assert paths.inside(tmp_path, name, windows=True) is None


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize("name", FINE)
def test_plain_names_are_files_below_the_folder(tmp_path, name, windows):
    assert paths.inside(tmp_path, name, windows) == tmp_path.resolve().joinpath(*name.split("/"))


def test_windows_parts_at_both_slashes():
    assert paths.plain(r"a\b/x.png", windows=True).parts == ("a", "b", "x.png")


def test_a_link_out_of_the_folder_is_followed(tmp_path):
    folder = tmp_path / "input"
    folder.mkdir()
    (folder / "out").symlink_to(tmp_path, target_is_directory=True)
    assert paths.inside(folder, "out/x.png") is None
    (folder / "in").symlink_to(folder, target_is_directory=True)
    assert paths.inside(folder, "in/x.png") == folder.resolve() / "x.png"


@pytest.mark.parametrize("name", ["x" * 256, "folder/" + "가" * 86, "\ud800" * 86, "cup \ud83d.png"])
def test_a_name_that_no_system_opens_is_no_file(tmp_path, name):
    assert paths.inside(tmp_path, name, windows=False) is None


def test_the_longest_names_are_files(tmp_path):
    assert paths.plain("x" * 251 + ".png", windows=False) is not None
    assert paths.plain("가" * 85, windows=False) is not None
    assert paths.plain("가" * 200, windows=True) is not None
    assert paths.plain("가" * 256, windows=True) is None
