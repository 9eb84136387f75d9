"""Pictures that no encoder likes: pure noise, at every size, in every format; and an encoder that has no memory left."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image
from storefront.studio.output.encode import Encoding, available, encode

SIZES = [(1, 1), (1, 16_000), (16_000, 1), (2_000, 16), (300, 200)]
QUALITIES = (1, 75, 92, 95, 99, 100)


def noise(width: int, height: int, channels: int) -> Image.Image:
    values = np.random.default_rng(width + height).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(values)


def size_of(data: bytes, format: str) -> tuple[int, int]:
    """Of the picture in a file, all of which is decoded."""
    if format == "PDF":
        (picture,) = pypdfium2.PdfDocument(data)[0].get_objects()
        return picture.get_bitmap().to_pil().size
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.size


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("format", available())
def test_noise_is_saved_in_every_format_quality_and_size(format, size, channels):
    picture = noise(*size, channels)
    qualities = QUALITIES if format in ("JPEG", "PDF") else QUALITIES[2:3] if format in ("PNG", "AVIF") else (92, 100)
    for quality in qualities:
        data, _ = encode(picture, Encoding(format, quality), {})
        assert size_of(data, format) == size


def test_grain_costs_a_jpeg_its_small_tables_and_not_a_pixel():
    picture = noise(300, 200, 3)
    data, _ = encode(picture, Encoding("JPEG", 92), {})
    plain = io.BytesIO()
    picture.save(plain, "JPEG", quality=92, subsampling=0)
    assert (np.asarray(Image.open(io.BytesIO(data))) == np.asarray(Image.open(plain))).all()


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
sys.path.insert(0, "tools")
from pack import import_pack
import_pack()
import torch
from PIL import Image
from storefront.studio.images import to_pil
from storefront.studio.output import encode, saving
image = torch.full((1, 3000, 3000, 3), 0.5)
encode.srgb_profile()
wishes = saving.SaveOptions(filename="cup", naming=sys.argv[2], encoding=encode.Encoding("WebP"))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 80 * 2**20, -1))
saved, notes = saving.save(image, Path(sys.argv[1]), wishes, {})
print(saved[0].name, *notes, sep="\\n")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by Linux's own means")
@pytest.mark.parametrize("naming", ["template", "content"])
def test_a_format_that_fails_is_named_and_the_picture_is_saved_as_png(tmp_path, naming):
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", SHORT_OF_MEMORY, str(tmp_path), naming]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    name, note = done.stdout.splitlines()
    assert note.startswith("WebP could not be written at 3000x3000: ")
    assert note.endswith(f". It was saved as PNG: {name}")
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    with Image.open(file) as picture:
        assert (file.name, picture.format, picture.size) == (name, "PNG", (3000, 3000))
