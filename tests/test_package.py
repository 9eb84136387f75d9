"""The pack as a Python package: built, installed into an environment of its own, and used from another folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOT_FOR_THE_CLIENT = [
    "torch",
    "numpy",
    "scipy",
    "skimage",
    "diffusers",
    "transformers",
    "accelerate",
    "einops",
    "onnxruntime",
    "fontTools",
    "safetensors",
    "yaml",
    "sentencepiece",
    "google",
    "comfy",
    "nodes",
]
WITHOUT_COMFYUI = """
import sys
import storefront
assert not {"torch", "numpy", "diffusers", "aiohttp"} & set(sys.modules), "importing it loads something heavy"
from storefront import client
assert "torch" not in sys.modules, "the client needs no torch"
assert "product_composite" in client.workflow_names()
from storefront.serving import Client
assert "torch" not in sys.modules, "asking a Triton needs no torch until a picture comes"
client.load_workflow("product_composite")
from storefront import Design, example_photo, product_composite, text_to_image
assert "site-packages" in storefront.__file__, storefront.__file__
drawn = text_to_image("a red mug in a studio", seed=7, steps=2).save("drawn.png")
ad = product_composite(example_photo("coffee"), drawn.path, "갓 내린 커피", design=Design(outline=0.05))
print(ad.save("ad.webp").path)
assert not any(name.split(".")[0] in {"comfy", "folder_paths", "nodes", "server"} for name in sys.modules)
"""


def run(*command: str, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment["HF_HUB_OFFLINE"] = "1"
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What git has or would take, so that setuptools' build folders stay out of the tree."""
    target = tmp_path_factory.mktemp("clone") / "any-name"
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/")):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(ROOT / name, target / name)
    return target


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A bare environment that sees the packages of this one."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", str(folder), cwd=folder)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    site = run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    outer = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    Path(site, "outer.pth").write_text("\n".join(outer))
    return python, Path(site)


PIP = ("-m", "pip", "--disable-pip-version-check", "-q")
OFFLINE = ("--no-deps", "--no-build-isolation", "--no-index")


def test_a_wheel_works_in_another_folder(clone, environment, tmp_path):
    python, site = environment
    run(sys.executable, *PIP, "wheel", *OFFLINE, "-w", str(tmp_path), str(clone), cwd=tmp_path)
    (wheel,) = tmp_path.glob("storefront_flux_ads-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if not name.endswith("/")}
        archive.extractall(site)  # what an installer does with a wheel of pure Python
    own = [path for part in ("studio", "client", "serving") for path in (ROOT / part).rglob("*.py")]
    own += [*(ROOT / "models").rglob("*.*"), *(ROOT / "workflows" / "api").iterdir()]
    assert {f"storefront/{path.relative_to(ROOT).as_posix()}" for path in own} <= packed
    assert not [name for name in packed if name.startswith(("storefront/nodes", "storefront/host", "storefront/tests"))]
    assert run(str(python), "-c", WITHOUT_COMFYUI, cwd=tmp_path).strip() == "ad.webp"
    assert (tmp_path / "ad.webp").stat().st_size > 1000


def test_an_editable_install_is_the_clone(clone, tmp_path):
    folder = tmp_path / "site"
    run(sys.executable, *PIP, "install", *OFFLINE, "--target", str(folder), "-e", str(clone), cwd=tmp_path)
    code = "import site; site.addsitedir('site'); import storefront.studio.sampling.noise as m; print(m.__file__)"
    shown = run(sys.executable, "-c", code, cwd=tmp_path).strip()
    assert Path(shown) == clone / "studio" / "sampling" / "noise.py"


def test_a_clone_called_storefront_needs_no_installation(clone, tmp_path):
    (tmp_path / "storefront").symlink_to(clone, target_is_directory=True)
    code = "import storefront.client as c; import storefront; print(c.workflow_names(), 'text_to_image' in dir(storefront))"
    assert "catalogue" in run(sys.executable, "-c", code, cwd=tmp_path)
    missing = f"import sys; sys.modules.update(dict.fromkeys({NOT_FOR_THE_CLIENT})); "  # as if they were not installed
    assert "catalogue" in run(sys.executable, "-c", missing + code, cwd=tmp_path)


def test_a_wrong_name_is_an_attribute_error():
    import storefront

    with pytest.raises(AttributeError, match="text_to_video"):
        storefront.text_to_video  # noqa: B018
    assert not hasattr(storefront, "NODE_CLASS_MAPPINGS")  # ComfyUI would take it for a pack of the old kind
    assert storefront.WEB_DIRECTORY == "./js"


def test_no_script_takes_the_packs_folder_for_one_of_a_certain_name():
    """ComfyUI serves templates and scripts under the folder's name, which is ComfyUI-Storefront after a `git clone`."""
    named = [
        file.name
        for file in sorted((ROOT / "js").glob("*.*js"))
        if "workflow_templates/storefront" in (text := file.read_text("utf-8")) or "extensions/storefront" in text
    ]
    assert named == []
