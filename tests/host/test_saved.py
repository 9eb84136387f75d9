"""What was saved by an earlier release: its prompts are taken as they are, and those that leave inputs out as well."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from comfyui import node
from PIL import Image

SAVED = Path(__file__).parent / "saved"
NEED_A_MODEL = {"kontext_edit", "flux2_two_references", "zimage_turbo", "text_to_image_server"}
PROMPTS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((SAVED / "prompts").glob("*.json"))}
LETTERED = {
    "1": node("StorefrontExamplePhoto"),
    "2": node("StorefrontTextOverlay", image=["1", 0], text="커피"),
    "3": node("SaveImage", images=["2", 0], filename_prefix="saved"),
}


@pytest.mark.parametrize("name", [name for name in PROMPTS if name not in NEED_A_MODEL])
def test_a_saved_prompt_is_taken(comfyui, name):
    answer = comfyui.get("/prompt", {"prompt": PROMPTS[name]})
    comfyui.get("/queue", {"delete": [answer["prompt_id"]]})
    comfyui.get("/interrupt", {"prompt_id": answer["prompt_id"]})
    assert answer["node_errors"] == {}


@pytest.mark.usefixtures("no_traceback")
def test_a_saved_prompt_makes_the_picture_that_its_short_form_makes(comfyui):
    """The saved one names every value; the short one leaves each to its default."""
    saved = comfyui.run(PROMPTS["poster_from_photo"])
    short = {
        "1": node("StorefrontExamplePhoto"),
        "2": node("StorefrontPlanLayout", background=["1", 0], headline="매일 아침\n갓 볶은 원두"),
        "3": node("StorefrontTextOverlay", image=["1", 0], text="매일 아침\n갓 볶은 원두", layout=["2", 0]),
        "4": node("SaveImage", images=["3", 0], filename_prefix="short"),
    }
    assert np.array_equal(saved.pixels(), comfyui.run(short).pixels())


@pytest.mark.usefixtures("no_traceback")
def test_five_nodes_with_nothing_but_what_has_no_default_draw(comfyui):
    workflow = {
        "1": node("StorefrontLoadModel"),
        "2": node("StorefrontEncode", clip=["1", 1], prompt="a red mug on a wooden table"),
        "3": node("StorefrontCanvas", format="custom (width x height)", width=64, height=64),
        "4": node("StorefrontSample", model=["1", 0], positive=["2", 0], latent=["3", 0], steps=4),
        "5": node("StorefrontDecode", vae=["1", 2], latent=["4", 0]),
        "6": node("StorefrontSaveImage", image=["5", 0]),
    }
    assert comfyui.run(workflow).pixels().std() > 10


def test_the_older_names_of_the_box_work(comfyui):
    def lettered(**box: float) -> np.ndarray:
        workflow = json.loads(json.dumps(LETTERED))
        workflow["2"]["inputs"] |= box
        return comfyui.run(workflow).pixels()

    small = lettered(width=30, height=20)
    assert np.array_equal(small, lettered(box_width=30, box_height=20))
    assert np.array_equal(small, lettered(width=90, height=90, box_width=30, box_height=20))
    assert not np.array_equal(small, lettered())


@pytest.mark.usefixtures("no_traceback")
def test_product_photo_reads_files_of_the_input_folder(comfyui):
    picture = Image.new("RGBA", (40, 20), (200, 0, 0, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 10, 20))
    picture.getexif()[274] = 6  # turned by a quarter
    picture.save(comfyui.base / "input" / "own.png", exif=picture.getexif())
    workflow = {
        "1": node("StorefrontExamplePhoto", image="own.png"),
        "2": node("SaveImage", images=["1", 0], filename_prefix="own"),
    }
    pixels = comfyui.run(workflow).pixels()[0]
    assert pixels.shape == (40, 20, 3)
    assert tuple(pixels[2, 10]) == (255, 255, 255)  # transparent in the file
    assert tuple(pixels[30, 10]) == (200, 0, 0)
    picture.transpose(Image.Transpose.ROTATE_180).save(comfyui.base / "input" / "own.png")
    assert not np.array_equal(pixels, comfyui.run(workflow).pixels()[0])  # the same name, another content


@pytest.mark.usefixtures("no_traceback")
def test_the_example_is_the_same_by_either_name_and_lies_where_the_editor_shows_it(comfyui):
    prefixes = itertools.count()  # a name of its own, or ComfyUI answers a prompt that it has seen without a picture

    def photo(**inputs: str) -> np.ndarray:
        workflow = {
            "1": node("StorefrontExamplePhoto", **inputs),
            "2": node("SaveImage", images=["1", 0], filename_prefix=f"example{next(prefixes)}"),
        }
        return comfyui.run(workflow).pixels()

    assert np.array_equal(photo(photo="coffee"), photo(image="storefront/coffee.jpg"))
    copy = comfyui.base / "input" / "storefront" / "coffee.jpg"
    assert copy.is_file()
    options = comfyui.get("/object_info/StorefrontExamplePhoto")["StorefrontExamplePhoto"]["input"]["optional"]["image"]
    assert options[1]["image_upload"]
    copy.unlink()  # a read-only folder, say
    assert photo(image="storefront/coffee.jpg").std() > 20


@pytest.mark.parametrize(
    "image",
    [
        "missing.png",
        "../comfyui.log",
        "/etc/passwd",
        "storefront/../../comfyui.log",
        "a\0b",
        "",
        "link.png",
        "../../x [output]",
    ],
)
def test_a_file_elsewhere_is_refused_by_name(comfyui, image):
    (comfyui.base / "outside.png").write_bytes(b"")
    link = comfyui.base / "input" / "link.png"
    if not link.is_symlink():
        link.symlink_to(comfyui.base / "outside.png")
    workflow = {
        "1": node("StorefrontExamplePhoto", image=image),
        "2": node("PreviewImage", images=["1", 0]),
    }
    error = comfyui.run(workflow).error
    assert "`image` is" in error
    assert str(comfyui.base) not in error


def test_an_error_is_named_without_a_path_of_this_machine(comfyui):
    workflow = json.loads(json.dumps(LETTERED))
    workflow["1"] = node("EmptyImage", width=16, height=16, batch_size=1, color=0)  # no word fits it
    result = comfyui.run(workflow)
    messages = dict(result.history["status"]["messages"])
    assert messages["execution_error"]["exception_type"] == "storefront.InputError"
