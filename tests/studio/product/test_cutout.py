"""The cut-out: the network as rembg has it, edges better than its mask, and what a stranger may send."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import math
import socket
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from products import photographs, scene
from storefront.studio import examples
from storefront.studio.errors import InputError, ModelFilesError
from storefront.studio.images import to_levels, to_pil
from storefront.studio.product import cutout, matting
from storefront.studio.product.cutout import Edges

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "models" / "rembg" / "u2netp.onnx"
U2NETP = cutout.NETWORKS["u2netp"]


def nothing() -> None:
    pass


@pytest.fixture(scope="module")
def session():
    return cutout.open_session(MODEL, ["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def find(session):
    return partial(cutout.saliency, session, U2NETP)


@pytest.fixture(scope="module")
def rembg_sessions():
    """rembg's session classes without the rest of rembg, whose import compiles for a minute in a fresh environment."""
    spec = importlib.util.find_spec("rembg")
    assert spec is not None
    before = set(sys.modules)
    package = types.ModuleType("rembg")
    package.__path__ = list(spec.submodule_search_locations or [])
    sys.modules["rembg"] = package
    yield importlib.import_module("rembg.sessions").sessions
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "rembg":
            del sys.modules[name]


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
    assert U2NETP.terms == "licence Apache-2.0; free for commercial use"


@pytest.mark.parametrize("name", cutout.NETWORKS)
def test_every_network_sees_and_answers_as_in_rembg(name, rembg_sessions):
    """The table against rembg's own classes, with a session that remembers what it was shown."""
    theirs = rembg_sessions[name]
    assert theirs.is_local()
    assert not theirs.requires_credentials()
    network = cutout.NETWORKS[name]
    answer = np.random.default_rng(0).normal(0.5, 0.5, (1, 1, network.side, network.side)).astype(np.float32)
    shown: list[np.ndarray] = []
    port = types.SimpleNamespace(name="input", type="tensor(float)", shape=[1, 3, network.side, network.side])
    recorder = types.SimpleNamespace(
        get_inputs=lambda: [port],
        get_outputs=lambda: [port],
        run=lambda names, feed: shown.append(feed["input"]) or [answer],
    )
    reference = object.__new__(theirs)
    reference.inner_session = recorder
    image = to_pil(examples.photo("coffee"))[0].resize((network.side, network.side))
    levels = torch.from_numpy(np.array(image))
    mask = cutout.saliency(recorder, network, levels)
    expected = np.asarray(reference.predict(image.resize((64, 64)))[0])
    shown.clear()
    reference.predict(image)
    cutout.saliency(recorder, network, levels)
    assert np.array_equal(*shown)
    small = Image.fromarray((mask.numpy() * 255).astype(np.uint8)).resize((64, 64), Image.Resampling.LANCZOS)
    assert abs(np.asarray(small).astype(int) - expected).max() <= 1


def test_a_larger_picture_is_shown_and_found_all_but_as_in_rembg(session, rembg_sessions):
    """Another filter makes it smaller: the masks are less than half a hundredth apart in the mean."""
    reference = object.__new__(rembg_sessions["u2netp"])
    reference.inner_session = session
    photo = examples.photo("coffee")
    expected = np.asarray(reference.predict(to_pil(photo)[0])[0].resize((320, 320)), np.float32) / 255
    found = cutout.saliency(session, U2NETP, levels_of(photo[0])).numpy()
    assert abs(found - expected).mean() < 0.005


def test_a_run_needs_no_network_and_compiles_nothing(monkeypatch, find):
    def refuse(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    cutout.cut_out(examples.photo("coffee"), find, Edges(straight_edges=8, grow=1, feather=1), nothing)
    script = f"""
import sys
sys.path.insert(0, {str(ROOT / "tools")!r})
from pack import import_pack
import_pack()
from functools import partial
from pathlib import Path
from storefront.studio import examples
from storefront.studio.product import cutout
session = cutout.open_session(Path({str(MODEL)!r}), ["CPUExecutionProvider"])
find = partial(cutout.saliency, session, cutout.NETWORKS["u2netp"])
cutout.cut_out(examples.photo("coffee"), find, cutout.Edges(), lambda: None)
print(sorted({{"numba", "rembg", "pymatting", "pooch", "requests"}} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_file_that_is_no_network_is_named(tmp_path):
    broken = tmp_path / "u2net.onnx"
    broken.write_bytes(b"not a network")
    with pytest.raises(ModelFilesError, match=r"u2net\.onnx"):
        cutout.open_session(broken, ["CPUExecutionProvider"])


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
        InputError, match=r"64 x 48 pixels in which the network sees nothing.*wanted: a picture with a product"
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
    with pytest.raises(InputError, match=r"^image is "):
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
    with pytest.raises(InputError, match=f"^{name} is "):
        Edges(**{name: value})


def test_an_edge_that_eats_the_product_is_refused(find):
    small = torch.ones(1, 32, 32, 3)
    mask = torch.zeros(32, 32)
    mask[12:20, 12:20] = 1
    with pytest.raises(InputError, match="picture 1 of 1"):
        cutout.cut_out(small, lambda _: mask, Edges(refine=False, grow=-20), nothing)
