"""Saves pictures until it is stopped: `save_many.py FOLDER WRITER COUNT [LARGEST_FILE]`. Prints each path, and its digest.

Run as a process of its own by test_files.py, which kills it.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools"))
from pack import import_pack

import_pack()

import torch  # noqa: E402
from storefront.studio.images import to_pil  # noqa: E402
from storefront.studio.output import saving  # noqa: E402
from storefront.studio.output.encode import digest  # noqa: E402


def main(folder: str, writer: str, count: str, largest: str = "") -> None:
    if largest:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest), int(largest)))
    random.seed(writer)
    print("READY", flush=True)
    for number in range(int(count)):
        pixels = torch.Generator().manual_seed(int(writer) * 1_000_000 + number)
        image = torch.rand(1, 96, 96, 3, generator=pixels)
        options = saving.SaveOptions(filename="ads/cup", naming=random.choice(saving.NAMING_SCHEMES))
        (saved,), _ = saving.save(image, Path(folder), options, {"prompt": {"writer": writer, "number": number}})
        print("SAVED", saved.path, digest(to_pil(image)[0]), flush=True)


main(*sys.argv[1:])
