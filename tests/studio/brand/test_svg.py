"""SVGs that would end the process, or take minutes and gigabytes, are refused before they are drawn; real ones are drawn."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from storefront.studio.brand.logo import read_logo
from storefront.studio.errors import InputError

pytest.importorskip("resvg_py")
SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 40 20">{}</svg>'
RECT = '<rect width="40" height="20" fill="#123"/>'


def chain(before: str, after: str, count: int) -> str:
    """An element that uses the next, and so on."""
    return "".join(before.replace("OWN", f"a{n}").replace("NEXT", f"a{n + 1}") + after for n in range(count))


def using(count: int, times: int) -> str:
    groups = chain('<g id="OWN">' + '<use href="#NEXT"/>' * times, "</g>", count)
    return f'<defs>{groups}<g id="a{count}">{RECT}</g></defs><use href="#a0"/>'


TALL = SVG.replace("0 0 40 20", "0 0 1 10000")
BOMBS = {
    "groups in groups": SVG.format("<g>" * 20_000 + RECT + "</g>" * 20_000),
    "groups in groups, fewer": SVG.format("<g>" * 300 + RECT + "</g>" * 300),
    "uses of uses": SVG.format(using(200, 1)),
    "ten uses of ten uses": SVG.format(using(5, 10)),
    "a use of itself": SVG.format('<g id="a"><use href="#a"/></g>'),
    "clips of clips": SVG.format(
        "<defs>" + chain('<clipPath id="OWN" clip-path="url(#NEXT)">', RECT + "</clipPath>", 100) + "</defs>"
        '<rect width="40" height="20" clip-path="url(#a0)"/>'
    ),
    "masks of masks by a style sheet": SVG.format(
        "<style>" + chain(".OWN{mask:url(#NEXT)}", "", 100) + "</style>"
        "<defs>" + chain('<mask id="OWN" class="OWN">', RECT + "</mask>", 100) + '</defs><g class="a0">' + RECT + "</g>"
    ),
    "shapes": SVG.format(RECT * 20_000),
    "layers": SVG.format(f'<g opacity=".9">{RECT}</g>' * 1000),
    "markers at every corner": SVG.format(
        f'<marker id="m">{RECT}</marker><path marker-mid="url(#m)" d="M0 0{"L1 1" * 9000}"/>'
    ),
    "a kernel": SVG.format('<filter id="f"><feConvolveMatrix order="60"/></filter>' + RECT),
    "tall by its box": TALL.format(RECT),
    "tall by its sides": TALL.replace('viewBox="0 0 1 10000"', 'width="1" height="10000"').format(RECT),
    "tall by inches": SVG.replace("viewBox", 'width="1px" height="999in" viewBox').format(RECT),
    "tall by per cents": SVG.replace("viewBox", 'height="99999%" viewBox').format(RECT),
    "of no size": SVG.replace('viewBox="0 0 40 20"', "").format(RECT),
    "no XML": SVG.format("<g>"),
    "a long style": SVG.format("<style>.a{fill:red;" + "x" * 30_000 + "}</style>" + RECT),
    "a long style in many parts": SVG.format("<style>" + ".a{fill:red}" * 4_000 + "</style>" + RECT),
    "a style of many selectors": SVG.format(
        "<style>" + ",".join(f".a{n}" for n in range(90_000)) + "{" + "x" * 9_000 + "}</style>" + RECT
    ),
    "an element of many classes": SVG.format(f'<g class="{" ".join(map(str, range(200_000)))}">{RECT}</g>'),
    "markers of markers": SVG.format(
        f'<path style="{"marker:url(#a);" * 10_000}" d="M0 0{"L1 1" * 100_000}"/>' + f'<marker id="a">{RECT}</marker>'
    ),
    "an SVG inside": SVG.format('<image width="9" height="9" href="data:image/svg+xml;base64,PHN2Zy8+"/>'),
    "an SVG inside, by another name": SVG.format(
        '<image width="9" height="9" xlink:href=" DATA: text/xml,%3Csvg/%3E"/>'
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_would_end_the_process_is_refused_at_once_by_name(tmp_path, bomb):
    path = tmp_path / "bomb.svg"
    path.write_text(BOMBS[bomb])
    start = time.process_time()
    with pytest.raises(InputError, match=r"bomb\.svg") as refused:
        read_logo(path)
    assert bomb == "no XML" or "can be read" not in str(refused.value)
    assert time.process_time() - start < 2


REAL = {
    "plain": SVG.format(RECT),
    "by its sides": SVG.replace('viewBox="0 0 40 20"', 'width="400" height="200"').format(
        '<rect width="400" height="200"/>'
    ),
    "as Illustrator writes it": SVG.format(
        "<defs><style>.cls-1{fill:none}.cls-2{clip-path:url(#c)}.cls-3{fill:url(#g)}</style>"
        '<clipPath id="c"><rect class="cls-1" width="40" height="20"/></clipPath>'
        '<linearGradient id="g0"><stop stop-color="#123"/></linearGradient><linearGradient id="g" xlink:href="#g0"/></defs>'
        + '<g class="cls-2"><g><rect class="cls-3" width="40" height="20"/></g></g>'
    ),
    "symbols": SVG.format(f'<symbol id="s">{RECT}</symbol>' + '<use xlink:href="#s"/>' * 30),
    "many shapes": SVG.format('<path d="M0 0h40v20z"/>' * 1500),
}


@pytest.mark.parametrize("real", REAL)
def test_real_ones_are_drawn(tmp_path, real):
    path = Path(tmp_path / "logo.svg")
    path.write_text(REAL[real])
    assert read_logo(path).alpha.max() == 1
