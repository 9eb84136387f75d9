"""What is bundled is what the software bill of materials says, to the byte, and nothing else is opened."""

from __future__ import annotations

import subprocess

import sbom


def test_the_bill_is_that_of_this_tree():
    """After a change that is meant: python tools/sbom.py, and read the difference."""
    same = sbom.TARGET.read_text("utf-8") == sbom.text()
    assert same, "sbom.cdx.json is old: run python tools/sbom.py and read the difference"


def test_every_network_and_font_is_in_the_bill():
    listed = {file["name"] for part in sbom.sbom()["components"] for file in part.get("components", ())}
    tracked = subprocess.run(["git", "ls-files"], cwd=sbom.ROOT, capture_output=True, text=True, check=True).stdout
    opened = {
        path
        for path in tracked.splitlines()
        if path.endswith(sbom.OPENED) and path.startswith(("fonts/", "models/", "studio/", "workflows/"))
    }
    assert opened
    assert opened <= listed
    assert all(part.get("components", True) for part in sbom.sbom()["components"])  # no glob that finds nothing


def test_the_checksums_are_those_that_the_folders_own_notes_give():
    notes = "".join((sbom.ROOT / folder / "README.md").read_text("utf-8") for folder in ("fonts", "models/rembg"))
    for part in sbom.sbom()["components"][:3]:
        for file in part["components"]:
            assert file["hashes"][0]["content"] in notes
