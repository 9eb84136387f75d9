"""Ways to damage a file of each kind: by its bytes, and by what its format says."""

from __future__ import annotations

import copy
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

Damage = Callable[[bytes, random.Random], bytes]

LENGTHS = [0, 1, 2, 7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**48, 2**63 - 1, 2**63, 2**64 - 1]
NUMBERS: list[Any] = [
    -1,
    0,
    1,
    3,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    2**31,
    2**63,
    -(2**63),
    10**400,
    10**5000,
]
VALUES: list[Any] = [
    *NUMBERS,
    None,
    True,
    "",
    "x",
    "\0",
    "\ud83d",
    "x" * 9000,
    [],
    {},
    [[]],
    {"a": 1},
    [1, "2", None],
    "../../x",
]
DTYPES = [
    "F64",
    "F32",
    "F16",
    "BF16",
    "I64",
    "I32",
    "I8",
    "U8",
    "BOOL",
    "F8_E4M3",
    "F8_E5M2",
    "F8_E8M0",
    "F4",
    "C64",
    "x",
    "",
    3,
    None,
]


def odd(chance: random.Random) -> Any:
    """A value of its own, which later damage may change."""
    return copy.deepcopy(chance.choice(VALUES))


def bytes_changed(good: bytes, chance: random.Random) -> bytes:
    """Bits flipped, numbers of 2 to 8 bytes made extreme, parts cut out, doubled, zeroed; or the end cut off."""
    data = bytearray(good)
    reach = chance.choice([64, 1024, len(data), len(data)])  # heads are hit more often than what follows
    for _ in range(chance.choice([1, 1, 1, 2, 8, 64])):
        where = chance.randrange(min(reach, len(data)) or 1)
        length = min(chance.choice([1, 4, 16, 300]), len(data) - where)
        way = chance.randrange(6)
        if way == 0 and data:
            data[where] ^= 1 << chance.randrange(8)
        elif way == 1 and data:
            data[where] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
        elif way == 2:
            form = chance.choice(["<H", ">H", "<I", ">I", "<Q", ">Q"])
            size = struct.calcsize(form)
            data[where : where + size] = struct.pack(form, chance.choice(LENGTHS) % 256**size)
        elif way == 3:
            del data[where : where + length]
        elif way == 4:
            data[where:where] = data[where : where + length]
        else:
            data[where : where + length] = bytes(length)
    return bytes(data[: chance.randrange(len(data) + 1)]) if chance.random() < 0.15 else bytes(data)


# --- JSON ---------------------------------------------------------------------------------------------------------------


def _places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything inside."""
    found, left = [], [value]
    while left:
        one = left.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        found += [(one, key) for key in keys]
        left += [one[key] for key in keys]
    return found


def _text(value: Any) -> str:
    """JSON, of numbers of any length too."""
    import sys

    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(value)
    finally:
        sys.set_int_max_str_digits(before)


def tree_changed(value: Any, chance: random.Random) -> Any:
    """A copy of what JSON reads as, with one to three values replaced, taken away, renamed or exchanged for another's."""
    value = copy.deepcopy(value)
    for _ in range(chance.choice([1, 1, 2, 3])):
        places = _places(value)
        if not places:
            return odd(chance)
        owner, key = chance.choice(places)
        way = chance.randrange(5)
        if way == 0:
            del owner[key]
        elif way == 1 and isinstance(owner, dict):
            owner[chance.choice(["x", "", "\0", str(key) + "x"])] = owner.pop(key)
        elif way == 2:
            other, name = chance.choice(places)
            gone = (isinstance(other, dict) and name not in other) or (isinstance(other, list) and name >= len(other))
            owner[key] = None if gone else copy.deepcopy(other[name])
        else:
            owner[key] = odd(chance)
    return value


def json_changed(good: bytes, chance: random.Random) -> bytes:
    """The text of a JSON file: its tree changed, a key doubled, nested deep, or its bytes."""
    way = chance.random()
    if way < 0.15:
        return bytes_changed(good, chance)
    try:
        text = _text(tree_changed(json.loads(good), chance))
    except (ValueError, RecursionError):  # what was damaged before, and is no JSON now or too deep to be copied
        return bytes_changed(good, chance)
    if way < 0.25:
        text = _doubled(text, chance)
    elif way < 0.32:
        text = _nested(text, chance)
    return text.encode("utf-8", "surrogatepass")


def _doubled(text: str, chance: random.Random) -> str:
    """A key of an object said twice, the second time of another value."""
    keys = [place for place in range(len(text)) if text.startswith('{"', place)]
    if not keys:
        return text
    place = chance.choice(keys)
    end = text.find('":', place)
    return text[: place + 1] + text[place + 1 : end + 2] + _text(chance.choice(VALUES)) + "," + text[place + 1 :]


def _nested(text: str, chance: random.Random) -> str:
    """A number made brackets in brackets, thousands deep."""
    depth = chance.choice([50, 900, 5000, 200_000])
    opened, closed = chance.choice([("[", "]"), ('{"a":', "}")])
    deep = opened * depth + "1" + (closed * depth if chance.random() < 0.7 else "")
    numbers = [place for place, letter in enumerate(text) if letter.isdigit() and text[place - 1] in " ["]
    return text[: (place := chance.choice(numbers))] + deep + text[place + 1 :] if numbers else deep


# --- weights ------------------------------------------------------------------------------------------------------------


def safetensors_changed(good: bytes, chance: random.Random) -> bytes:
    """A header whose dtypes, shapes, offsets, names and metadata are changed; numbers of every bit set; or bytes."""
    way = chance.random()
    if way < 0.25:
        return bytes_changed(good, chance)
    length = struct.unpack("<Q", good[:8])[0]
    header, data = json.loads(good[8 : 8 + length]), bytearray(good[8 + length :])
    if way < 0.35:
        for _ in range(chance.choice([1, 8])):
            where = chance.randrange(len(data) or 1)
            data[where : where + 64] = b"\xff" * len(data[where : where + 64])
    else:
        for _ in range(chance.choice([1, 1, 1, 3])):
            _change_entry(header, chance)
    text = _text(header)
    if way > 0.9:
        text = _doubled(text, chance)
    elif way > 0.86:
        text = _nested(text, chance)
    head = text.encode("utf-8", "surrogatepass")
    said = chance.choice(LENGTHS) if chance.random() < 0.03 else len(head)
    return struct.pack("<Q", said) + head + bytes(data)


def _change_entry(header: dict[str, Any], chance: random.Random) -> None:
    name = chance.choice(list(header)) if header else "x"
    entry = header.get(name)
    way = chance.randrange(9)
    if not isinstance(entry, dict) or not isinstance(
        entry.get("shape"), list
    ):  # __metadata__: texts that are JSON themselves, or not
        texts = [key for key, value in entry.items() if isinstance(value, str)] if isinstance(entry, dict) else []
        if texts and way > 2:
            key = chance.choice(texts)
            entry[key] = (
                json_changed(entry[key].encode(), chance).decode("utf-8", "replace") if entry[key][:1] == "{" else "x"
            )
        else:
            header[name] = chance.choice([odd(chance), {"format": "pt"}])
    elif way == 0:
        entry["dtype"] = chance.choice(DTYPES)
    elif way == 1 and entry["shape"]:
        entry["shape"][chance.randrange(len(entry["shape"]))] = chance.choice([-1, 0, 1, 2**31, 2**63, *NUMBERS])
    elif way == 2:  # the same numbers in another shape
        entry["shape"] = chance.choice(
            [entry["shape"][::-1], [1, *entry["shape"]], [-1, *entry["shape"]], [], entry["shape"][:1]]
        )
    elif way == 3 and isinstance(entry.get("data_offsets"), list):
        entry["data_offsets"] = chance.choice(
            [[0, 0], [-8, 8], [2**63, 2**64], entry["data_offsets"][::-1], [1], [0, None]]
        )
    elif way == 4:
        del header[name]
    elif way == 5:
        header[chance.choice(["x", "", "\ud83d", name + ".x", name.removesuffix("weight") + "scale"])] = header.pop(
            name
        )
    elif way == 6:  # the place of another, which has another size
        other = header[chance.choice(list(header))]
        if isinstance(other, dict) and "data_offsets" in other:
            entry["data_offsets"], other["data_offsets"] = other["data_offsets"], entry["data_offsets"]
    else:
        header[name] = tree_changed(entry, chance)


# --- others -------------------------------------------------------------------------------------------------------------


def yaml_changed(good: bytes, chance: random.Random) -> bytes:
    """Lines taken out, doubled, moved in or replaced by what YAML reads as something else; or bytes."""
    if chance.random() < 0.25:
        return bytes_changed(good, chance)
    lines = good.decode().split("\n")
    odd = [
        "*a",
        "&a x",
        "!!python/object:os.system x",
        "{a: *a}",
        "[",
        "- " * 300,
        "<<: {a: 1}",
        "? [a]",
        "2020-99-99",
        "=",
        "~",
    ]
    odd += [
        "0x" + "f" * 9000,
        "1" * 9000,
        "1e999",
        ".nan",
        "-.inf",
        "0b2",
        "1:2:3",
        "x" * 30_000,
        "[" * 3000,
        "{a: " * 3000,
        "\t",
        "%",
        "no",
        "'",
    ]
    for _ in range(chance.choice([1, 1, 2, 4])):
        place = chance.randrange(len(lines) or 1)
        way = chance.randrange(5)
        line = lines[place] if lines else ""
        if way == 0:
            lines[place : place + 1] = []
        elif way == 1:
            lines.insert(place, line)
        elif way == 2:
            lines[place : place + 1] = [" " * chance.choice([1, 2, 40]) + line]
        else:
            key, colon, _ = line.partition(":")
            lines[place : place + 1] = [
                f"{key}{colon} {chance.choice(odd)}" if colon and chance.random() < 0.7 else chance.choice(odd)
            ]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def png_changed(good: bytes, chance: random.Random) -> bytes:
    """A chunk's content changed and its checksum made right again, so that it is read."""
    if chance.random() < 0.3:
        return bytes_changed(good, chance)
    chunks, place = [], 8
    while place < len(good):
        (length,) = struct.unpack_from(">I", good, place)
        chunks.append([good[place + 4 : place + 8], good[place + 8 : place + 8 + length]])
        place += 12 + length
    for _ in range(chance.choice([1, 1, 3])):
        chunk = chance.choice(chunks)
        chunk[1] = bytes_changed(chunk[1], chance) if chunk[1] else bytes(chance.randrange(40))
        if chance.random() < 0.2:
            chunks.insert(chance.randrange(len(chunks)), [*chance.choice(chunks)])
    return good[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def zip_changed(good: bytes, chance: random.Random) -> bytes:
    """A file inside changed and packed again; or bytes of the whole."""
    if chance.random() < 0.3:
        return bytes_changed(good, chance)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as packed, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as again:
        names = packed.namelist()
        hit = chance.choice(names)
        for name in names:
            content = packed.read(name)
            if name == hit:
                content = _xml_changed(content, chance)
            if name != hit or chance.random() > 0.1:
                again.writestr(name, content)
    return out.getvalue()


def _xml_changed(good: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return bytes_changed(good, chance)
    bomb = (
        b'<!DOCTYPE x [<!ENTITY a "'
        + b"y" * 1000
        + b'">'
        + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9))
    )
    odd = [b"999999999", b"-1", b"XFD1048576", b"NaN", b"1e999", b"&j;", b"<a>" * 5000, b"x" * 40_000]
    digits = [place for place in range(len(good)) if good[place : place + 1].isdigit()]
    place = chance.choice(digits) if digits else 0
    text = good[:place] + chance.choice(odd) + good[place + 1 :]
    head, sep, tail = text.partition(b"?>")
    return head + sep + bomb + b"]>" + tail if sep and chance.random() < 0.2 else text


def svg_changed(good: bytes, chance: random.Random) -> bytes:
    """As of a workbook's XML, and groups in groups."""
    if chance.random() < 0.2:
        depth = chance.choice([100, 2000, 100_000])
        return good.replace(b"<rect", b"<g>" * depth + b"<rect", 1).replace(b"</svg>", b"</g>" * depth + b"</svg>")
    return _xml_changed(good, chance)
