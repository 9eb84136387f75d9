"""The archive that the registry publishes, unpacked into a ComfyUI: everything a user meets is in it, nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
from comfyui import ROOT, ComfyUI
from conftest import dev
from PIL import Image

PUBLISHED = {
    "CHANGELOG.md",
    "LICENSE",
    "README.ko.md",
    "README.md",
    "SECURITY.md",
    "__init__.py",
    "fonts",
    "host",
    "icon.png",
    "js",
    "locales",
    "models",
    "nodes",
    "pyproject.toml",
    "requirements.txt",
    "sbom.cdx.json",
    "serving",  # the client of a server; its stages are not
    "studio",
    "subgraphs",
    "workflows",
}
LARGEST = 40 * 2**20  # bytes: it is downloaded at every update
PACK = "import sys; from comfy_cli.file_utils import zip_files; zip_files(sys.argv[1])"


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """Packed by comfy-cli's own function out of a repository that holds what git has or would take."""
    folder = tmp_path_factory.mktemp("published")
    tree, packed = folder / "tree", folder / "node.zip"
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).hardlink_to(ROOT / name)
    for git in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *git], cwd=tree, check=True)
    subprocess.run([sys.executable, "-c", PACK, str(packed)], cwd=tree, check=True)
    print(f"\nThe archive: {packed.stat().st_size / 2**20:.1f} MiB")
    return packed


@pytest.fixture(scope="module")
def comfyui_with_archive(archive, newest_folder, tmp_path_factory):
    base = tmp_path_factory.mktemp("archive")
    unpacked = base / "unpacked"
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(unpacked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dev, "ROOT", unpacked)
        with dev.running_comfyui(newest_folder, base) as url:
            yield ComfyUI(url, base)


def test_nothing_but_what_users_need_is_in_it(archive):
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
    assert {name.split("/")[0] for name in names} <= PUBLISHED
    assert not [name for name in names if "test" in Path(name).name or name.endswith((".pyc", ".lock"))]
    assert not [name for name in names if name.startswith("serving/triton/")]
    assert archive.stat().st_size < LARGEST


def test_every_node_help_page_template_and_text_is_served_from_it(comfyui_with_archive):
    comfyui = comfyui_with_archive
    nodes = {name for name in comfyui.get("/object_info") if name.startswith("Storefront")}
    assert nodes == set(json.loads((ROOT / "tests" / "host" / "object_info.json").read_text("utf-8")))
    pages = [path for path in (ROOT / "js").rglob("*") if path.is_file()]
    served = {f"/extensions/storefront/{path.relative_to(ROOT / 'js').as_posix()}": path for path in pages}
    assert {f"/extensions/storefront/docs/{node}/{text}.md" for node in nodes for text in ("en", "ko")} <= set(served)
    templates = [path for path in (ROOT / "workflows").iterdir() if path.suffix in (".json", ".jpg")]
    assert {path.stem for path in templates} == set(comfyui.get("/workflow_templates")["storefront"])
    served |= {f"/api/workflow_templates/storefront/{path.name}": path for path in templates}
    for address, path in served.items():
        with urllib.request.urlopen(comfyui.url + address, timeout=60) as answer:
            assert answer.read() == path.read_bytes(), address
    korean = json.loads((ROOT / "locales" / "ko" / "nodeDefs.json").read_text("utf-8"))
    assert korean.items() <= comfyui.get("/i18n")["ko"]["nodeDefs"].items()


@pytest.mark.parametrize("folder", ["fonts", "locales", "models", "studio", "workflows"])
def test_every_file_of_the_folder_is_in_it(archive, folder):
    with zipfile.ZipFile(archive) as packed:
        names = {name for name in packed.namelist() if name.startswith(f"{folder}/")}
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()}
    assert names == {name for name in there if "__pycache__" not in name}


def test_an_ad_is_made_from_it(comfyui_with_archive):
    workflow = json.loads((ROOT / "workflows" / "api" / "product_composite.json").read_text("utf-8"))
    result = comfyui_with_archive.run(workflow)
    assert "Traceback" not in comfyui_with_archive.log()
    pixels = np.asarray(Image.open(result.files()[0]).convert("RGB"))
    assert pixels.std() > 20
