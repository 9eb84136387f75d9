"""Good files of every kind but models, how each is damaged, and the functions that nodes and the API open them by."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import damage
import numpy as np
from PIL import Image, ImageCms
from storefront.client import workflows
from storefront.studio import table
from storefront.studio.brand import brand, logo
from storefront.studio.errors import InputError
from storefront.studio.images import read_opaque
from storefront.studio.layout import arrangement, layout, options, plan
from storefront.studio.prompt import presets
from storefront.studio.sampling.unfinished import Trace, Unfinished
from storefront.studio.scenes import bank, picture

ROOT = Path(__file__).resolve().parents[2]


class Victim(NamedTuple):
    """A kind of file. `open` raises an InputError that names one of `named` where the file cannot be used."""

    name: str
    path: Path  # of the file that is damaged; it is whole when a test begins
    damage: damage.Damage
    open: Callable[[], object]
    named: tuple[str, ...]


class Named(InputError):
    """What a library of files says of one that it leaves out."""

    def __init__(self, problems: tuple[str, ...]):
        super().__init__("files", "; ".join(problems), "; ".join(problems))


def others(folder: Path) -> list[Victim]:
    """Everything that is no model."""
    made = [*_pictures(folder / "pictures"), *_texts(folder / "texts"), *_libraries(folder / "libraries")]
    return [*made, *_tables(folder / "tables"), _unfinished(folder)]


def _written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# --- pictures -----------------------------------------------------------------------------------------------------------


def _saved(picture: Image.Image, form: str, **settings) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **settings)
    return out.getvalue()


def _lab(rgb: Image.Image) -> Image.Image:
    spaces = [ImageCms.createProfile(space) for space in ("sRGB", "LAB")]
    return ImageCms.profileToProfile(rgb, *spaces, outputMode="LAB")


def _pictures(folder: Path) -> list[Victim]:
    levels = np.random.default_rng(0).integers(0, 256, (24, 32, 4), np.uint8)
    rgba = Image.fromarray(levels)
    rgb, grey = rgba.convert("RGB"), Image.fromarray(levels[..., 0].astype(np.uint16) * 257)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # A profile that differs from sRGB, so that colours go through it: red and blue exchanged.
    profile = srgb.replace(b"rXYZ", b"tXYZ", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"tXYZ", b"bXYZ", 1)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "cup"
    said = {"icc_profile": profile, "exif": exif.tobytes()}
    files = {
        "PNG.png": (_saved(rgba, "PNG", **said), damage.png_changed),
        "palette.png": (_saved(rgba.convert("P"), "PNG", transparency=3, **said), damage.png_changed),
        "16 bits.png": (_saved(grey, "PNG"), damage.png_changed),
        "JPEG.jpg": (_saved(rgb, "JPEG", **said), damage.bytes_changed),
        "progressive.jpg": (_saved(rgb, "JPEG", progressive=True, **said), damage.bytes_changed),
        "CMYK.jpg": (_saved(rgb.convert("CMYK"), "JPEG", **said), damage.bytes_changed),
        "WebP.webp": (_saved(rgba, "WEBP", lossless=True, **said), damage.bytes_changed),
        "lossy.webp": (_saved(rgb, "WEBP", **said), damage.bytes_changed),
        "AVIF.avif": (_saved(rgba, "AVIF", **said), damage.bytes_changed),
        "TIFF.tif": (_saved(rgba, "TIFF", compression="tiff_lzw", icc_profile=profile), damage.bytes_changed),
        "plain.tif": (_saved(rgb, "TIFF", icc_profile=profile), damage.bytes_changed),
        "16 bits.tif": (_saved(grey, "TIFF", compression="tiff_adobe_deflate"), damage.bytes_changed),
        "LAB.tif": (_saved(_lab(rgb), "TIFF"), damage.bytes_changed),
        "F.tif": (_saved(Image.fromarray(levels[..., 0].astype(np.float32) / 255), "TIFF"), damage.bytes_changed),
        **{f"{form}.{end}": (_saved(rgb, form), damage.bytes_changed) for form, end in (("GIF", "gif"), ("BMP", "bmp"), ("TGA", "tga"), ("ICO", "ico"), ("PPM", "ppm"), ("JPEG2000", "jp2"), ("SGI", "sgi"), ("PCX", "pcx"), ("DDS", "dds"))},
        "MPO.jpg": (_saved(rgb, "MPO", save_all=True, append_images=[rgb]), damage.bytes_changed),
    }  # fmt: skip
    made = []
    for name, (content, way) in files.items():
        path = _written(folder / name, content)
        made.append(Victim(f"picture {name}", path, way, lambda path=path: _opaque(path), (name,)))
    made += _profiles(folder, rgb, profile)
    return made


def _opaque(path: Path) -> None:
    image = read_opaque("image", path)
    assert image.ndim == 4
    assert float(image.min()) >= 0
    assert float(image.max()) <= 1


def _profiles(folder: Path, rgb: Image.Image, profile: bytes) -> list[Victim]:
    """What a whole picture carries: the damaged part is put into one."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x011A] = 6, "cup", 72.0
    parts = {"icc_profile": profile, "exif": exif.tobytes()}
    made = []
    for part, content in parts.items():
        source, whole = _written(folder / f"{part}.bin", content), folder / f"with {part}.png"

        def open_with(part: str = part, source: Path = source, whole: Path = whole) -> None:
            whole.write_bytes(_saved(rgb, "PNG", **{part: source.read_bytes()}))
            _opaque(whole)

        made.append(Victim(f"picture with {part}", source, damage.bytes_changed, open_with, (whole.name,)))
    return made


# --- JSON ---------------------------------------------------------------------------------------------------------------


def _texts(folder: Path) -> list[Victim]:
    ground = np.full((96, 96, 3), 0.4, np.float32)
    laid = plan.plan(ground, [np.ones((20, 20), np.float32)], "Cup of the day", options.LayoutOptions())
    planned = _written(folder / "layout.json", laid.to_json().encode())
    box = {"x": 0.1, "y": 0.3, "width": 0.4, "height": 0.5}
    moved = {
        "version": 1,
        "product 1": {"box": box, "rotation": 12, "flip": True, "front": 1},
        "headline": {"box": box, "words": "Cup", "color": "#ffffff", "weight": 700, "align": "left"},
        "light": {"azimuth": 45, "elevation": 30},
    }
    by_hand = _written(folder / "arrangement.json", json.dumps(moved).encode())
    api = _written(folder / "mine.json", (ROOT / "workflows" / "api" / "text_to_image.json").read_bytes())

    def parsed() -> None:
        found = layout.parse(planned.read_text("utf-8", "replace"))
        assert layout.parse(found.to_json()) == found

    def arranged() -> None:
        found = arrangement.parse_arrangement(by_hand.read_text("utf-8", "replace"))
        for product in found.products.values():
            if product.place is not None:
                product.place.on(512, 512, product.pose.rotation)

    def workflow() -> None:
        found = workflows.load_workflow(api)
        workflows.check_names(
            found,
            {},
            {f"{name}.{key}": 1 for name, entry in found.prompt.items() if "." not in name for key in entry["inputs"]},
        )

    return [
        Victim("layout_json", planned, damage.json_changed, parsed, ("layout",)),
        Victim("arrangement", by_hand, damage.json_changed, arranged, ("arrangement",)),
        Victim("workflow", api, damage.json_changed, workflow, ("mine", "inputs")),
    ]


def _unfinished(folder: Path) -> Victim:
    import torch

    x = torch.randn(1, 16, 4, 4)
    traces = {"positive": Trace("cup", torch.ones(3))}
    path = Unfinished(x, 1, torch.linspace(1, 0, 5), torch.zeros_like(x), traces).save(folder / "cut off.safetensors")
    return Victim(
        "unfinished picture",
        path,
        damage.safetensors_changed,
        lambda: Unfinished.from_bytes(path.read_bytes()),
        ("state",),
    )


# --- folders ------------------------------------------------------------------------------------------------------------


def _libraries(folder: Path) -> list[Victim]:
    trade = _written(folder / "own" / "trades" / "mine.yaml", (presets.BUNDLED / "trades" / "bakery.yaml").read_bytes())
    style_file = next(iter(sorted((presets.BUNDLED / "styles").glob("*.yaml"))))
    style = _written(folder / "own" / "styles" / "mine.yaml", style_file.read_bytes())
    loras = _written(
        folder / "style_loras.yaml",
        b"photo:\n  - file: a.safetensors\n    strength: 0.8\n    source: x\ncup: {file: b.safetensors}\n",
    )

    def library() -> None:
        if problems := presets.read_library(folder / "own").problems:
            raise Named(problems)

    made = [
        Victim(f"preset {kind}", path, damage.yaml_changed, library, ("mine.yaml",))
        for kind, path in (("trade", trade), ("style", style))
    ]
    made.append(Victim("style's LoRAs", loras, damage.yaml_changed, lambda: presets.read_loras(loras), (loras.name,)))
    return [*made, *_scenes(folder / "scenes"), *_brands(folder / "brands")]


def _scenes(folder: Path) -> list[Victim]:
    source = next(path for path in sorted(bank.BUNDLED.iterdir()) if (path / bank.FILE).is_file())
    scene = folder / "mine"
    shutil.copytree(source, scene)

    def framed() -> None:
        bank.labels(folder)
        found = bank.read_bank(folder)
        if found.problems:
            raise Named(found.problems)
        for one in found.scenes.values():
            picture.frame(bank.mirrored(one), "1:1 feed")

    shots = sorted(scene.glob("*.webp"))[:1]
    files = [(scene / bank.FILE, damage.json_changed), *((shot, damage.bytes_changed) for shot in shots)]
    return [Victim(f"scene {file.name}", file, way, framed, ("scene mine", "mine/", "1:1")) for file, way in files]


def _brands(folder: Path) -> list[Victim]:
    shutil.copytree(brand.BUNDLED / brand.EXAMPLE_BRAND, folder / "mine")
    svg = (
        b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20"><rect width="40" height="20" fill="#123"/></svg>'
    )
    drawn = _written(folder / "mine" / "drawn.svg", svg)

    def branded() -> None:
        found = brand.read_brands(folder)
        if found.problems:
            raise Named(found.problems)
        for one in found.brands.values():
            for file in {one.on_light, one.on_dark} - {None}:
                logo.read_logo(file)

    logos = sorted((folder / "mine").glob("*.png"))[:1]
    made = [Victim("brand.yaml", folder / "mine" / "brand.yaml", damage.yaml_changed, branded, ("brand mine",))]
    made += [Victim("brand's logo", file, damage.png_changed, branded, (file.name,)) for file in logos]
    made.append(Victim("brand's SVG", drawn, damage.svg_changed, lambda: logo.read_logo(drawn), ("drawn.svg", "logo")))
    return made


def _tables(folder: Path) -> list[Victim]:
    import openpyxl

    rows = [
        ["photo", "headline", "price"],
        ["cup.jpg", "오늘의 커피", 12900],
        ["b.jpg", "Cup", 0.5],
        ["c.jpg", None, "x"],
    ]
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.active["C2"].number_format = '#,##0"원"'
    packed = io.BytesIO()
    book.save(packed)
    text = "\n".join(",".join("" if cell is None else str(cell) for cell in row) for row in rows)
    files = {
        "a.xlsx": (packed.getvalue(), damage.zip_changed),
        "utf8.csv": (text.encode("utf-8-sig"), damage.bytes_changed),
        "utf16.tsv": (text.replace(",", "\t").encode("utf-16"), damage.bytes_changed),
        "korean.csv": (text.encode("cp949"), damage.bytes_changed),
    }
    made = []
    for name, (content, way) in files.items():
        path = _written(folder / name, content)
        # Of the text of a table the input is named, and a file's name where the file as a whole is broken.
        made.append(Victim(f"table {name}", path, way, lambda path=path: table.read(path), (name, "`table`")))
    return made
