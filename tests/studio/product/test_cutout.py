"""The cut-out: the network as rembg has it, edges better than its mask, and what a stranger may send."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import math
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

import stand_ins
from products import photographs, scene
from storefront.studio import examples
from storefront.studio.errors import InputError, ModelFilesError
from storefront.studio.images import read_opaque, to_levels, to_pil
from storefront.studio.packages import PackageError
from storefront.studio.product import cutout, matting, networks, rembg_mattes
from storefront.studio.product.cutout import Edges

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "models" / "rembg" / "u2netp.onnx"
CPU = ["CPUExecutionProvider"]


def nothing() -> None:
    pass


@pytest.fixture(scope="module")
def session():
    return networks.open_session("u2netp", MODEL, CPU)


@pytest.fixture(scope="module")
def find(session):
    return partial(networks.saliency, session)


def seen_small(alpha: np.ndarray, side: int = 160) -> torch.Tensor:
    """A network's mask of a known alpha: small, and as soft as such masks are."""
    small = Image.fromarray((alpha * 255).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    from scipy.ndimage import gaussian_filter

    return torch.from_numpy(gaussian_filter(np.asarray(small, np.float32) / 255, 0.8))


def levels_of(picture: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(to_levels(picture[None])[0])


def refined_from(picture: torch.Tensor, mask: torch.Tensor) -> matting.Matte:
    return matting.refine(picture, levels_of(picture), mask)


# --- the network ------------------------------------------------------------------------------------------------------


def test_the_bundled_network_is_the_one_its_readme_names():
    readme = (MODEL.parent / "README.md").read_text("utf-8")
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() in readme
    assert networks.network("u2netp").terms == "licence Apache-2.0; free for commercial use"


def refuse(*_, **__):
    raise AssertionError("a socket was opened")


def test_every_session_of_rembg_opens_a_local_file_and_answers_as_it_does_in_rembg(tmp_path, monkeypatch):
    """All that its release has, those that this pack's table does not name too."""
    monkeypatch.setattr(socket, "socket", refuse)
    photo = examples.photo("coffee")[0]
    square = to_pil(examples.photo("coffee"))[0].resize((networks.DEFAULT_SIDE, networks.DEFAULT_SIDE))
    levels = torch.from_numpy(np.array(square))
    for name, theirs in networks.session_classes().items():
        file = stand_ins.brightness(tmp_path / f"{name}.onnx")
        session = networks.open_session(name, file, CPU)
        found = networks.saliency(session, levels)
        reference = object.__new__(theirs)
        reference.inner_session = onnxruntime.InferenceSession(str(file), providers=CPU)
        expected = np.max([np.asarray(mask.convert("L")) for mask in reference.predict(square)], axis=0)
        assert np.array_equal((found * 255).round().byte(), expected), name
        cut = cutout.cut_out(photo[None], partial(networks.saliency, session), Edges(refine=False), nothing)
        assert cut.alpha.max() == 1, name


def test_sessions_that_upload_are_not_among_them():
    known = networks.rembg_module("sessions").sessions
    assert set(networks.session_classes()) <= set(known) - {"withoutbg", "atlascloud", "sam"}
    left_out = [known[name] for name in set(known) - set(networks.session_classes()) - {"sam"}]
    assert not [one for one in left_out if one.is_local() and not one.requires_credentials()]


def test_the_table_names_no_network_that_the_newest_rembg_does_not_know():
    if "dis_custom" not in networks.rembg_module("sessions").sessions:
        pytest.skip("this rembg is older than some of the networks")
    assert set(networks.NETWORKS) <= set(networks.session_classes())
    assert "ask its author" in networks.network("dis_custom").terms


def test_a_larger_picture_is_shown_and_found_all_but_as_in_rembg(session):
    """Another filter makes it smaller: the masks are less than half a hundredth apart in the mean."""
    photo = examples.photo("coffee")
    expected = np.asarray(session.predict(to_pil(photo)[0])[0].resize((320, 320)), np.float32) / 255
    found = networks.saliency(session, levels_of(photo[0])).numpy()
    assert found.shape == (320, 320)
    assert abs(found - expected).mean() < 0.005


def run(script: str, **environment: str) -> str:
    start = f"import sys; sys.path[:0] = [{str(ROOT / 'tools')!r}, {str(Path(__file__).parent)!r}]\n"
    start += "from pack import import_pack; import_pack()\n"
    variables = {**os.environ, "ROOT": str(ROOT), "MODEL": str(MODEL), **environment}
    done = subprocess.run([sys.executable, "-c", start + script], capture_output=True, text=True, env=variables)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


CUT = """
import os
from functools import partial
from pathlib import Path
from storefront.studio import examples
from storefront.studio.product import cutout, networks
session = networks.open_session("u2netp", Path(os.environ["MODEL"]), ["CPUExecutionProvider"])
photo = examples.photo("coffee")
cut = cutout.cut_out(photo, partial(networks.saliency, session), cutout.Edges(), lambda: None)
"""
BESIDE_REMBG = """
import tempfile, warnings
import numpy as np, torch
import stand_ins
from storefront.studio.errors import InputError
from storefront.studio.images import to_pil
from storefront.studio.product import rembg_mattes
import rembg
assert rembg.__name__ == "rembg" and rembg.bg.__name__ == "rembg.bg"
theirs = rembg.new_session("u2netp", providers=["CPUExecutionProvider"])
picture = to_pil(photo)[0]
assert list(theirs.predict(picture)[0].getdata()) == list(session.predict(picture)[0].getdata())
matted = torch.from_numpy(np.array(rembg.remove(picture, session=theirs, alpha_matting=True))).float() / 255
find = partial(networks.saliency, session)
ours = cutout.cut_out(photo, find, cutout.Edges(), lambda: None, rembg_mattes.closed_form)
assert (ours.alpha[0] - matted[..., 3]).abs().mean() < 0.01
solid = ours.alpha == 1
assert solid.float().mean() > 0.3 and torch.equal(ours.foreground[solid], photo[solid])
if networks.has_module("matting"):
    with tempfile.TemporaryDirectory() as folder:
        file = stand_ins.trimap(Path(folder) / "vitmatte-small-distinctions-646.onnx")
        matte = rembg_mattes.vitmatte(file, ["CPUExecutionProvider"])
        by_trimap = cutout.cut_out(photo, find, cutout.Edges(), lambda: None, matte).alpha
    assert (by_trimap - ours.alpha).abs().mean() < 0.1
    assert not networks.rembg_module("matting")._sessions
rembg_mattes.LARGEST_PICTURE = 1000
try:
    cutout.cut_out(photo, find, cutout.Edges(), lambda: None, rembg_mattes.closed_form)
except InputError as error:
    print(error)
"""


def test_a_run_needs_no_network_and_compiles_nothing(monkeypatch, find):
    monkeypatch.setattr(socket, "socket", refuse)
    cutout.cut_out(examples.photo("coffee"), find, Edges(straight_edges=8, grow=1, feather=1), nothing)
    assert run(CUT + "print(sorted({'numba', 'rembg', 'pymatting'} & set(sys.modules)))") == "[]\n"


def test_another_packs_rembg_still_mattes_and_its_ways_to_an_edge_are_ours_to_choose():
    """In one process: each of them compiles numba code when it is imported, for a minute or more."""
    said = run(CUT + BESIDE_REMBG, U2NET_HOME=str(MODEL.parent))
    assert "`image` is '600 x 400 pixels'" in said
    assert "set matting to built-in" in said


def test_what_is_offered_for_the_edge_is_what_is_installed():
    files = ["birefnet-general", "vitmatte-small-distinctions-646"]
    offered = rembg_mattes.offered(files)
    assert offered[:2] == ["built-in", "rembg alpha matting"]
    assert offered[2:] == (files[1:] if networks.has_module("matting") else [])


def test_a_file_that_is_no_network_is_named(tmp_path):
    broken = tmp_path / "u2net.onnx"
    broken.write_bytes(b"not a network")
    with pytest.raises(ModelFilesError, match=r"u2net\.onnx"):
        networks.open_session("u2net", broken, CPU)
    with pytest.raises(ModelFilesError, match=r"`model` is 'unheard_of'\. Expected: a network that rembg"):
        networks.open_session("unheard_of", MODEL, CPU)


def test_a_network_under_another_ones_name_is_named():
    session = networks.open_session("birefnet-general", MODEL, CPU)
    with pytest.raises(ModelFilesError, match="`model` is 'birefnet-general'"):
        networks.saliency(session, levels_of(examples.photo("coffee")[0]))


def test_a_rembg_that_is_missing_or_built_otherwise_says_so(monkeypatch):
    networks.session_classes.cache_clear()
    sessions = networks.rembg_module("sessions")
    monkeypatch.setattr(sessions, "sessions", [])
    with pytest.raises(PackageError, match=r"^rembg [0-9.]+ has no table of sessions.*-m pip install -r "):
        networks.session_classes()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        PackageError, match=r"^`rembg` is not installed for ComfyUI's Python\. Run: .*-m pip install -r "
    ):
        networks.session_classes()


# --- alpha and colours ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("product", ["bottle", "mug", "box", "bag", "sneaker"])
def test_edges_and_colours_are_far_nearer_the_truth_than_the_mask_and_the_photo(product):
    truth = scene(product, photographs()[1], 512, 5)
    mask = seen_small(truth.alpha)
    picture = torch.from_numpy(truth.photo)
    raw, refined = matting.unrefined(picture, mask), refined_from(picture, mask)
    errors = [float(np.abs(m.alpha.numpy() - truth.alpha).mean()) for m in (raw, refined)]
    assert errors[1] < 0.6 * errors[0]
    mixed = (truth.alpha > 0.1) & (truth.alpha < 0.95)
    colors = [float(np.abs(m.foreground.numpy() - truth.color)[mixed].mean()) for m in (raw, refined)]
    assert colors[1] < 0.6 * colors[0]


def test_torch_has_as_many_threads_after_it_as_before_however_many_refine_at_once():
    truth = scene("mug", photographs()[5], 256, 1)
    picture, mask = torch.from_numpy(truth.photo), seen_small(truth.alpha)
    alone, here = refined_from(picture, mask), torch.get_num_threads()
    torch.set_num_threads(2)  # there may be one core alone
    try:
        with ThreadPoolExecutor(3) as pool:
            together = list(pool.map(lambda _: refined_from(picture, mask), range(6)))
        with ThreadPoolExecutor(1) as pool:
            counts = [torch.get_num_threads(), *pool.map(lambda _: torch.get_num_threads(), [0])]
    finally:
        torch.set_num_threads(here)
    assert all(torch.equal(matte.alpha, alone.alpha) for matte in together)
    assert counts == [2, 2]


def test_a_handle_keeps_its_hole_and_the_body_has_none():
    truth = scene("mug", photographs()[5], 512, 1)
    alpha = refined_from(torch.from_numpy(truth.photo), seen_small(truth.alpha)).alpha
    assert alpha[round(0.54 * 512), round(0.68 * 512)] == 0
    assert (alpha[150:400, 120:300] == 1).all()


def test_solid_pixels_are_the_photos_own_and_the_rest_recomposes_it(find):
    photo = examples.photo("coffee")
    cut = cutout.cut_out(photo, find, Edges(), nothing)
    solid = cut.alpha == 1
    assert solid.float().mean() > 0.3
    assert torch.equal(cut.foreground[solid], photo[solid])
    assert cut.foreground.min() >= 0
    assert cut.foreground.max() <= 1
    assert cut.alpha.min() >= 0
    assert cut.alpha.max() <= 1


def test_a_soft_rim_ends_softly(find):
    """Below the saucer lies its shadow: a row of it, kept as product, was a staircase of dark pixels."""
    alpha = cutout.cut_out(examples.photo("coffee"), find, Edges(), nothing).alpha[0, 300:]
    assert (alpha > 0.9).any(0).sum() > 250
    assert not ((alpha[:-1] > 0.9) & (alpha[1:] < 0.5)).any()


def test_a_mask_that_is_all_product_changes_nothing():
    picture = torch.rand(40, 60, 3, generator=torch.Generator().manual_seed(0))
    matte = refined_from(picture, torch.ones(32, 32))
    assert torch.equal(matte.foreground, picture)
    assert (matte.alpha == 1).all()


def test_without_refinement_mask_and_colours_are_the_networks_and_the_photos(find):
    photo = examples.photo("coffee")
    cut = cutout.cut_out(photo, find, Edges(refine=False), nothing)
    assert torch.equal(cut.foreground, photo)
    expected = matting.unrefined(photo[0], find(levels_of(photo[0]))).alpha
    assert (cut.alpha[0] - expected).abs().mean() < 1e-3  # specks apart


def test_each_picture_of_a_batch_is_cut_out_as_if_alone(find):
    coffee = examples.photo("coffee")
    both = torch.cat([coffee, coffee.flip(2)])
    batch = cutout.cut_out(both, find, Edges(), nothing)
    for index in range(2):
        alone = cutout.cut_out(both[index : index + 1], find, Edges(), nothing)
        assert torch.equal(batch.alpha[index], alone.alpha[0])
        assert torch.equal(batch.foreground[index], alone.foreground[0])


def test_threshold_takes_more_or_less(find):
    coffee = examples.photo("coffee")
    areas = [float(cutout.cut_out(coffee, find, Edges(threshold=t), nothing).alpha.mean()) for t in (0.05, 0.5, 0.95)]
    assert areas[0] > areas[1] > areas[2] > 0.3


def test_cancel_is_heard_before_each_picture(find):
    def cancel() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cutout.cut_out(examples.photo("coffee"), find, Edges(), cancel)


def test_the_preview_shows_squares_around_the_product_and_the_product_on_them():
    foreground, alpha = torch.full((1, 64, 64, 3), 0.25), torch.zeros(1, 64, 64)
    alpha[:, 16:48, 16:48] = 1
    preview = cutout.on_checkerboard(cutout.Cutout(foreground, alpha))
    assert (preview[:, 16:48, 16:48] == 0.25).all()
    assert preview[0, :16].unique().tolist() == pytest.approx([0.8, 1])


# --- what a stranger may send -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 2), (100, 8000), (33, 47)])
def test_odd_sizes_are_cut_out_or_refused_by_name(shape, find):
    picture = torch.ones(1, *shape, 3)
    height, width = shape
    picture[:, height // 4 : max(1, 3 * height // 4), width // 4 : max(1, 3 * width // 4)] = torch.tensor(
        [0.8, 0.1, 0.1]
    )
    mask = torch.zeros(320, 320)
    mask[80:240, 80:240] = 1
    cut = cutout.cut_out(picture, lambda _: mask, Edges(), nothing)
    assert cut.alpha.shape == (1, *shape)
    assert cut.alpha.isfinite().all()
    assert cut.foreground.isfinite().all()
    with contextlib.suppress(InputError):  # the network may see no product there; anything else is a fault
        cutout.cut_out(picture, find, Edges(), nothing)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_picture_of_nothing_is_refused(value, find):
    with pytest.raises(
        InputError, match=r"64 x 48 pixels in which the network finds no object.*Expected: a picture with a product"
    ):
        cutout.cut_out(torch.full((1, 48, 64, 3), value), find, Edges(), nothing)


@pytest.mark.parametrize(
    "image",
    [
        torch.full((1, 8, 8, 3), math.nan),
        torch.full((1, 8, 8, 3), math.inf),
        torch.zeros(0, 8, 8, 3),
        torch.zeros(1, 0, 8, 3),
        torch.zeros(8, 8, 3),
        torch.zeros(1, 8, 8, 2),
        None,
    ],
)
def test_what_is_no_picture_is_refused_by_name(image, find):
    with pytest.raises(InputError, match=r"^`image` is "):
        cutout.cut_out(image, find, Edges(), nothing)


def test_grey_and_four_channels_count_as_their_colours(find):
    photo = examples.photo("coffee")
    grey = photo.mean(-1, keepdim=True)
    as_grey = cutout.cut_out(grey, find, Edges(), nothing)
    assert torch.equal(as_grey.alpha, cutout.cut_out(grey.expand(-1, -1, -1, 3), find, Edges(), nothing).alpha)
    rgba = torch.cat([photo, torch.zeros_like(grey)], -1)
    assert torch.equal(
        cutout.cut_out(rgba, find, Edges(), nothing).alpha, cutout.cut_out(photo, find, Edges(), nothing).alpha
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 0),
        ("threshold", 1.0),
        ("threshold", math.nan),
        ("grow", 101),
        ("grow", math.inf),
        ("feather", -1),
        ("feather", math.nan),
        ("straight_edges", -1),
        ("straight_edges", 201),
        ("straight_edges", 20.5),
        ("straight_edges", "20"),
    ],
)
def test_options_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(InputError, match=f"^`{name}` is "):
        Edges(**{name: value})


def test_an_edge_that_eats_the_product_is_refused(find):
    small = torch.ones(1, 32, 32, 3)
    mask = torch.zeros(32, 32)
    mask[12:20, 12:20] = 1
    with pytest.raises(InputError, match="picture 1 of 1"):
        cutout.cut_out(small, lambda _: mask, Edges(refine=False, grow=-20), nothing)


@pytest.mark.parametrize("name", [name for name in examples.photos() if name.startswith(examples.SET)])
def test_the_bundled_set_is_cut_out_whole(session, name):
    photo = read_opaque("image", examples.photos()[name])
    assert cutout.cut_out(photo, partial(networks.saliency, session), Edges(), nothing).notes == ()
