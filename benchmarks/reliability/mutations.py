"""Damage to files, drawn from a seed: of bytes, of text, of JSON, of what lies in a zip archive."""

from __future__ import annotations

import copy
import io
import json
import random
import re
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

Mutate = Callable[[bytes, random.Random], bytes]

ODD_NUMBERS = (
    "-1", "0", "1e308", "-1e308", "nan", "inf", "1e-320", "2147483648", "9223372036854775808", "0x10", "1_0", "٣",
    "99999999999999999999999999", "", " ", "true",
)  # fmt: skip
ODD_WORDS = (
    "",
    "\x00",
    "\ud800",
    "../../etc/passwd",
    "=1+1",
    "😀" * 50,
    "A" * 5000,
    "null",
    "\u202e",
    '"',
    "'",
    "\r\n",
    ",,,,",
)
ODD_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, 2**63, 2**200, float("nan"), "", "A" * 5000, [], {}, [[[]]], {"a": {"a": 1}}, "../x",
    [None] * 50,
)  # fmt: skip
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def damage_bytes(data: bytes, draw: random.Random) -> bytes:
    """Flips, cuts, copies, fillings and odd integers at drawn places, one to eight of them."""
    made = bytearray(data)
    for _ in range(1 + int(draw.expovariate(0.5)) % 8):
        if not made:
            return bytes(draw.randbytes(draw.randrange(64)))
        at = draw.randrange(len(made))
        # Most formats keep what decides near their beginning.
        if draw.random() < 0.4:
            at = draw.randrange(min(len(made), 256))
        length = min(len(made) - at, 1 + int(draw.expovariate(1 / 16)))
        kind = draw.randrange(8)
        if kind == 0:
            made[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            made[at : at + length] = draw.randbytes(length)
        elif kind == 2:
            del made[at : at + length]
        elif kind == 3:
            made[at:at] = made[at : at + length] * draw.randrange(1, 4)
        elif kind == 4:
            made[at : at + length] = bytes([draw.choice([0, 0xFF, 0x7F, 0x80])]) * length
        elif kind == 5:
            width = draw.choice([2, 4, 8])
            odd = draw.choice([0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), 2 ** (8 * width - 1) - 1, 65536])
            made[at : at + width] = (odd % 2 ** (8 * width)).to_bytes(width, draw.choice(["big", "little"]))
        elif kind == 6:
            del made[at:]
        else:
            source = draw.randrange(len(made))
            made[at : at + length] = made[source : source + length]
    return bytes(made)


def damage_text(data: bytes, draw: random.Random) -> bytes:
    """Other numbers and words, lines dropped, doubled or exchanged; now and then bytes."""
    if draw.random() < 0.2:
        return damage_bytes(data, draw)
    text = data.decode("utf-8", "replace")
    for _ in range(draw.randrange(1, 4)):
        kind = draw.randrange(6)
        numbers = list(NUMBER.finditer(text))
        lines = text.splitlines(keepends=True)
        if kind <= 1 and numbers:
            found = draw.choice(numbers)
            text = text[: found.start()] + draw.choice(ODD_NUMBERS) + text[found.end() :]
        elif kind == 2 and lines:
            at = draw.randrange(len(lines))
            text = "".join(lines[:at] + lines[at + 1 :])
        elif kind == 3 and lines:
            at = draw.randrange(len(lines))
            text = "".join(lines[:at] + [lines[at]] * draw.randrange(1, 4) + lines[at + 1 :])
        elif kind == 4:
            at = draw.randrange(len(text) + 1)
            text = text[:at] + draw.choice(ODD_WORDS) + text[at + draw.randrange(12) :]
        else:
            text = text[: draw.randrange(len(text) + 1)]
    return text.encode("utf-8", "surrogatepass")


def damage_json(data: bytes, draw: random.Random) -> bytes:
    """Values exchanged for odd ones, keys dropped or renamed, depth; now and then text."""
    if draw.random() < 0.2:
        return damage_text(data, draw)
    tree = json.loads(data)
    for _ in range(draw.randrange(1, 4)):
        places = list(_places(tree))
        if not places:
            break
        holder, key = draw.choice(places)
        kind = draw.randrange(4)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[draw.choice(ODD_WORDS)] = holder.pop(key)
        elif kind == 2 and draw.random() < 0.1:
            holder[key] = json.loads("[" * 500 + "]" * 500)
        else:
            # A copy: the next change may be within it.
            holder[key] = copy.deepcopy(draw.choice(ODD_VALUES))
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def _places(tree: Any) -> Sequence[tuple[Any, Any]]:
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree))) if isinstance(tree, list) else []
    found = [(tree, key) for key in keys]
    for key in keys:
        found += _places(tree[key])
    return found


def damage_zip(data: bytes, draw: random.Random) -> bytes:
    """A member damaged, dropped, doubled, renamed or a bomb; or the bytes of the archive."""
    if draw.random() < 0.4:
        return damage_bytes(data, draw)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    at = draw.randrange(len(members))
    name, content = members[at]
    kind = draw.randrange(6)
    if kind <= 1:
        members[at] = (name, damage_bytes(content, draw))
    elif kind == 2:
        del members[at]
    elif kind == 3:
        members[at] = (draw.choice(["../x.npy", "/x.npy", "images", "images.npy.npy", "\ud7ff.npy"]), content)
    elif kind == 4:
        # A bomb: a header that asks for much, or much of nothing.
        members[at] = (name, content[:128] + bytes(draw.choice([10**6, 3 * 10**7])))
    else:
        dims = draw.choice(["(99999999999, 48, 48)", "(-1, 48, 48)", "(3, 2, 2, 2, 2)", "()", "(True,)"])
        descr = draw.choice(["|u1", "|O", "<f8", "<U99999", "|V8"])
        head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {dims}, }}".ljust(117) + "\n"
        members[at] = (name, b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + content[128:])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()
