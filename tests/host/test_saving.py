"""Save Image on a real ComfyUI: what is on the disk, in the history, behind /view, and refused."""

from __future__ import annotations

import io
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from comfyui import ROOT, node, text_to_image
from PIL import Image

PHOTO = {"1": node("StorefrontExamplePhoto", photo="coffee")}
FLAT = {"1": node("EmptyImage", width=64, height=48, batch_size=1, color=0x3366CC)}


def saving(added: dict | None = None, **inputs) -> dict:
    save = node("StorefrontSaveImage", **{"image": ["1", 0], "kind": "final", "filename": "t", **inputs})
    show = node("PreviewAny", source=["9", 0])
    return {**(added or FLAT), "9": save, "10": show}


def paths(result) -> list[str]:
    assert result.ok, result.error
    return result.history["outputs"]["10"]["text"][0].split("\n")


def view(comfyui, entry: dict) -> bytes:
    with urllib.request.urlopen(f"{comfyui.url}/view?{urllib.parse.urlencode(entry)}", timeout=30) as answer:
        return answer.read()


@pytest.mark.usefixtures("no_traceback")
class TestWorks:
    def test_pixels_paths_history_and_view_agree(self, comfyui):
        result = comfyui.run(saving(PHOTO, filename="shop/%width%x%height%", kind="origin"))
        (path,) = paths(result)
        assert re.fullmatch(r"origin/shop/[0-9]+x[0-9]+_00001_\.png", path)
        (entry,) = result.history["outputs"]["9"]["images"]
        file = comfyui.base / "output" / path
        assert file in result.files()
        assert view(comfyui, entry) == file.read_bytes()
        with Image.open(file) as picture, Image.open(ROOT / "workflows" / "assets" / "coffee.jpg") as photo:
            assert (np.asarray(picture) == np.asarray(photo.convert("RGB"))).all()

    def test_metadata_is_the_same_as_save_image_writes(self, comfyui):
        workflow = saving(FLAT, filename="meta/ours")
        workflow["11"] = node("SaveImage", images=["1", 0], filename_prefix="meta/theirs")
        extra = {"extra_pnginfo": {"workflow": {"nodes": [], "note": "머그컵"}}}
        result = comfyui.wait(comfyui.queue(workflow, extra_data=extra))
        assert result.ok, result.error
        ours, theirs = (next((comfyui.base / "output" / "meta").glob(f"{name}*")) for name in ("ours", "theirs"))
        with Image.open(ours) as a, Image.open(theirs) as b:
            assert a.text == b.text
            assert set(a.text) == {"prompt", "workflow"}
            assert (np.asarray(a) == np.asarray(b)).all()

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WebP", "AVIF", "PDF"])
    def test_for_delivery_nothing_of_the_workflow_is_left(self, comfyui, format):
        if format not in options(comfyui, "format"):
            pytest.skip(f"!!! THIS PILLOW WRITES NO {format} !!!")
        extra = {"extra_pnginfo": {"workflow": {"secret": "prices"}}}
        workflow = saving(filename=f"delivered/{format}", format=format, embed_workflow=False)
        result = comfyui.wait(comfyui.queue(workflow, extra_data=extra))
        (path,) = paths(result)
        data = (comfyui.base / "output" / path).read_bytes()
        for word in (b"class_type", b"EmptyImage", b"workflow", b"secret", b"Storefront"):
            assert word not in data
        entries = result.history["outputs"]["9"]["images"]
        shown = view(comfyui, entries[0])
        assert shown.startswith(b"\x89PNG") if format == "PDF" else shown == data
        if format == "PDF":
            assert view(comfyui, result.history["outputs"]["9"]["files"][0]) == data

    def test_a_pdf_is_shown_as_it_is_printed(self, comfyui):
        half = {
            "2": node("SolidMask", value=0.5, width=64, height=48),
            "3": node("JoinImageWithAlpha", image=["1", 0], alpha=["2", 0]),
        }
        result = comfyui.run(saving({**FLAT, **half}, image=["3", 0], format="PDF", filename="half"))
        assert result.ok, result.error
        (entry,) = result.history["outputs"]["9"]["images"]
        assert (entry["type"], entry["filename"][-8:]) == ("output", ".pdf.png")  # clients look among what is saved
        shown = view(comfyui, entry)
        with Image.open(io.BytesIO(shown)) as picture:
            assert np.abs(np.asarray(picture.convert("RGB")).astype(int) - (0x99, 0xB2, 0xE5)).max() <= 1

    def test_tokens_of_a_prompt_that_no_editor_filled(self, comfyui):
        workflow = text_to_image(
            {
                "9": saving(
                    filename="%date:yyyy%/%seed%_%Words.prompt%_%StorefrontSample.steps%_%batch_num%_%counter%x"
                )["9"]
            },
            Encode={"prompt": "a red mug"},
            Canvas={"batch_size": 2},
            Sample={"seed": 4711, "steps": 1},
        )
        workflow["2"]["_meta"] = {"title": "Words"}
        workflow["9"]["inputs"]["image"] = ["5", 0]
        workflow["10"] = node("PreviewAny", source=["9", 0])
        found = paths(comfyui.run(workflow))
        assert [path.split("/")[1] for path in found] == [
            "4711_a red mug_1_0_00001x.png",
            "4711_a red mug_1_1_00001x.png",
        ]

    def test_by_content_the_same_is_kept_once(self, comfyui):
        first = paths(comfyui.run(saving(PHOTO, naming="content", filename="c/x")))
        changed = saving(PHOTO, naming="content", filename="c/y")
        assert paths(comfyui.run(changed)) == first
        assert re.fullmatch(r"c/([0-9a-f]{2})/\1[0-9a-f]{62}-300dpi\.png", first[0])
        assert len(list((comfyui.base / "output" / "c").rglob("*.png"))) == 1
        other = paths(comfyui.run(saving(PHOTO, naming="content", filename="c/x", embed_workflow=False)))
        assert other != first

    def test_an_alpha_channel_stays(self, comfyui):
        added = {
            **PHOTO,
            "2": node("SolidMask", value=0.25, width=600, height=400),
            "3": node("JoinImageWithAlpha", image=["1", 0], alpha=["2", 0]),
        }
        workflow = saving(added, filename="alpha")
        workflow["9"]["inputs"]["image"] = ["3", 0]
        (path,) = paths(comfyui.run(workflow))
        with Image.open(comfyui.base / "output" / path) as picture:
            assert picture.mode == "RGBA"
            assert picture.getchannel("A").getextrema() == (191, 191)

    def test_several_formats_from_one_picture(self, comfyui):
        found = paths(
            comfyui.run(saving(PHOTO, filename="ads/cup", format="JPEG", also_formats="9:16 story, reel\n3:1 banner"))
        )
        assert found[1:] == ["ads/cup_9x16-story-reel_00001_.jpg", "ads/cup_3x1-banner_00001_.jpg"]
        shapes = [Image.open(comfyui.base / "output" / path).size for path in found[1:]]
        assert [width / height for width, height in shapes] == pytest.approx([9 / 16, 3], rel=0.01)


def options(comfyui, name: str) -> list[str]:
    inputs = comfyui.get("/object_info/StorefrontSaveImage")["StorefrontSaveImage"]["input"]
    kind, more = (*(inputs["required"] | inputs["optional"])[name], {})[:2]
    return kind if isinstance(kind, list) else more["options"]


ATTACKS = [
    "../escaped", "a/../../escaped", "..\\..\\escaped", "/tmp/escaped", "C:\\escaped", "\\\\host\\share\\escaped", "a\x00b",
    "CON", "nul.png", "com1/x", "x.", "x ", " ", "", "a/", ".ssh/x", "e\u202egpj.exe", "a" * 300, "💩" * 70, "half \ud83d",
    "%counter%/x", "out/x", "loop/x", "file/x", "a:b", "%nothing%", "%EmptyImage.nothing%", "x/" * 40 + "x",
]  # fmt: skip


@pytest.fixture(scope="module")
def traps(comfyui):
    """Links in the output folder that lead out of it; afterwards nothing may stand outside."""
    outside = comfyui.base / "outside"
    outside.mkdir()
    output = comfyui.base / "output"
    (output / "out").symlink_to(outside)
    (output / "loop").symlink_to(output / "loop")
    (output / "file").write_bytes(b"x")
    before = everything(comfyui.base)
    yield
    assert everything(comfyui.base) == before
    assert (output / "file").read_bytes() == b"x"


def everything(base: Path) -> set[str]:
    folders = [folder for folder in base.iterdir() if folder.name not in ("output", "temp", "custom_nodes", "user")]
    found = {str(path) for folder in folders if folder.is_dir() for path in folder.rglob("*")}
    return found | {str(path) for path in base.iterdir() if not path.name.startswith("temp")}


TRAPS = ("out", "loop", "file")  # in the output folder itself, which an origin is not saved to
CASES = [("final", name) for name in ATTACKS]
CASES += [("origin", name) for name in ATTACKS if name.split("/")[0] not in TRAPS]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_path_attacks_are_refused_by_name(comfyui, traps, kind, name):
    result = comfyui.run(saving(filename=name, kind=kind))
    assert not result.ok
    assert "filename" in result.error


@pytest.mark.parametrize(
    ("named", "inputs"),
    [
        ("kind", {"kind": "../origin"}),
        ("naming", {"naming": "uuid"}),
        ("format", {"format": "GIF"}),
        ("quality", {"quality": 0}),
        ("dpi", {"dpi": 0}),
        ("dpi", {"dpi": 10**9}),
        ("bleed_mm", {"bleed_mm": float("nan")}),
        ("bleed_mm", {"bleed_mm": 20.0}),
        ("also_formats", {"also_formats": "9:16"}),
        ("also_formats", {"also_formats": "../x"}),
        ("layout", {"layout": "{", "also_formats": "3:1 banner"}),
        ("layout", {"layout": {"canvas": 5}, "also_formats": "3:1 banner"}),
    ],
)
def test_bad_input_is_refused_by_name(comfyui, named, inputs):
    result = comfyui.run(saving(**inputs))
    assert not result.ok
    assert named in result.error


def test_a_mask_of_another_size_is_refused(comfyui):
    added = {**FLAT, "2": node("SolidMask", value=1.0, width=10, height=10)}
    result = comfyui.run(saving(added, mask=["2", 0], also_formats="3:1 banner"))
    assert "mask" in result.error


@pytest.mark.parametrize("extra", [{"k" * 100: 1}, {str(i): 1 for i in range(30)}, {"\x00": 1}])
def test_metadata_that_no_file_can_hold_is_refused(comfyui, extra):
    result = comfyui.wait(comfyui.queue(saving(filename=f"e{len(extra)}"), extra_data={"extra_pnginfo": extra}))
    assert "extra_pnginfo" in result.error


def test_a_stranger_s_prompt_with_odd_nodes_in_it(comfyui):
    workflow = saving(filename="odd_%seed%")
    workflow["77"] = {"class_type": "EmptyImage", "inputs": {}, "_meta": {"title": None}}
    workflow["78"] = {"class_type": "EmptyImage", "inputs": {}, "_meta": 5}
    workflow["1"]["inputs"] |= {"seed": [1, 0], "noise_seed": {"a": []}, "more": [["1"], 0]}
    assert "filename" in comfyui.run(workflow).error
    workflow["9"]["inputs"]["filename"] = "%No such.thing%"
    assert "filename" in comfyui.run(workflow).error
