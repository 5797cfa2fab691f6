"""What may happen to the bytes of a file; every change is made by a generator of random numbers, and so by its seed."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

__all__ = ["damage_bytes", "damage_fits", "damage_text", "damage_xml"]

Rng = np.random.Generator
Damage = Callable[[bytes, Rng], bytes]

BLOCK, CARD = 2880, 80
NUMBERS = ("-1", "0", "1", "2", "7", "-32768", "65536", "999999999", "2147483648", "-9223372036854775808", "1" + "0" * 30)
NUMBERS += (
    "1E400",
    "-1E400",
    "1E-400",
    "NAN",
    "INF",
    "-0.0",
    "0.5",
    "1.0",
    "1D5",
    ".",
    "-",
    "",
    "T",
    "F",
    "'12'",
    "0x10",
    "1 2",
)
TEXTS = (
    "",
    " ",
    "x" * 60,
    "\N{LATIN SMALL LETTER E WITH ACUTE}\N{LATIN SMALL LETTER ETH}",
    "../../etc",
    "a/b",
    "\0",
    "''",
    "&",
    "%s%n",
    "nan",
)
SIZES = (
    "BITPIX",
    "NAXIS",
    "PCOUNT",
    "GCOUNT",
    "BSCALE",
    "BZERO",
    "TFIELDS",
    "TFORM",
    "THEAP",
    "ZNAXIS",
    "ZTILE",
    "ZBITPIX",
    "ZVAL",
    "ZCMPTYPE",
)


def pick(rng: Rng, items):
    return items[int(rng.integers(len(items)))]


def damage_bytes(data: bytes, rng: Rng) -> bytes:
    """Cut, flip, swap, blank, take out, put in, repeat or append."""
    changed, n = bytearray(data), max(1, len(data))
    at, size = int(rng.integers(n)), int(pick(rng, (1, 2, 80, 512, 2880, 5000)))
    kind = rng.integers(9)
    if kind == 0:
        return data[:at]
    if kind == 1:
        for place in rng.integers(0, n, int(rng.integers(1, 30))) if data else ():
            changed[place] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        digits = [i for i in range(min(len(data), 20000)) if 48 <= data[i] < 58]
        for place in rng.choice(digits, int(rng.integers(1, 6))) if digits else ():
            changed[place] = 48 + int(rng.integers(10))
    elif kind == 3:
        other = int(rng.integers(n))
        at, other = at // size * size, other // size * size
        one, two = data[at : at + size], data[other : other + size]
        if len(one) == len(two):
            changed[at : at + size], changed[other : other + size] = two, one
    elif kind == 4:
        at = at // size * size
        changed[at : at + size] = bytes(len(changed[at : at + size]))
    elif kind == 5:
        del changed[at : at + size]
    elif kind == 6:
        changed[at:at] = rng.bytes(size) if rng.integers(2) else data[at : at + size]
    elif kind == 7:
        changed[at : at + size] = rng.bytes(len(changed[at : at + size]))
    else:
        changed += pick(rng, (rng.bytes(size), bytes(size), data[-size:], b" " * size))
    return bytes(changed)


def damage_fits(data: bytes, rng: Rng) -> bytes:
    """Change cards of the headers, more often than bytes anywhere."""
    if rng.integers(5) < 2:
        return damage_bytes(data, rng)
    cards = [i for i in range(0, len(data) - CARD + 1, CARD) if _is_card(data[i : i + CARD])]
    changed = data
    for _ in range(int(rng.integers(1, 3))):
        sizes = [i for i in cards if data[i : i + 8].decode("latin-1").rstrip(" 0123456789") in SIZES]
        changed = _damage_card(changed, int(pick(rng, sizes if sizes and rng.integers(2) else cards)), rng)
    return changed


def damage_xml(data: bytes, rng: Rng) -> bytes:
    """Change values and elements, put in what no run holds, or treat it as bytes."""
    text = data.decode("latin-1")
    kind = rng.integers(10)
    if kind < 2:
        return damage_bytes(data, rng)
    elements = list(re.finditer(r"<\w[^<]*?/>|<(\w+)>[^<]*</\1>", text))
    values = list(re.finditer(r'"([^"]*)"|>([^<]+)<', text))
    if kind == 2 and elements:
        gone = pick(rng, elements)
        text = text[: gone.start()] + text[gone.end() :]
    elif kind < 6 and values:
        value = pick(rng, values)
        group = 1 if value[1] is not None else 2
        text = text[: value.start(group)] + pick(rng, NUMBERS + TEXTS) + text[value.end(group) :]
    elif kind == 6 and values:
        one, two = pick(rng, values)[0], pick(rng, values)[0]
        text = text.replace(one, "\1").replace(two, one).replace("\1", two)
    elif kind == 7 and elements:
        twice = pick(rng, elements)
        text = text[: twice.end()] + re.sub(r"\d", lambda _: str(rng.integers(10)), twice[0]) + text[twice.end() :]
    elif kind == 8:
        first = text.find("<datainfo")
        inside = pick(
            rng, ('<!ENTITY a "b">', '<!ENTITY a SYSTEM "file:///etc/passwd">', '<!ENTITY % a SYSTEM "http://127.0.0.1:9/x">')
        )
        declared = pick(
            rng,
            (f"<!DOCTYPE datainfo [{inside}]>", '<!DOCTYPE datainfo SYSTEM "/dev/zero">', '<?xml version="1.0" encoding="x"?>'),
        )
        text = text[:first] + declared + text[first:].replace(">", ">&a;", 1)
    else:
        at, n = text.find("<user"), int(rng.integers(1, 20000))
        text = text[:at] + pick(rng, ("<a>" * n + "</a>" * n, "<a/>" * n, "x" * n, "<!-- x -->" * n)) + text[at:]
    return text.encode("latin-1", "replace")


def damage_text(data: bytes, rng: Rng) -> bytes:
    """Change lines, words and digits of a text, or treat it as bytes."""
    kind = rng.integers(8)
    if kind == 0:
        return damage_bytes(data, rng)
    lines = data.decode("latin-1").splitlines()
    at = int(rng.integers(len(lines)))
    if kind == 1:
        del lines[at]
    elif kind == 2:
        lines.insert(int(rng.integers(len(lines))), lines[at])
    elif kind == 3:
        other = int(rng.integers(len(lines)))
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 4:
        lines.insert(at, pick(rng, ("\xff\xfe", "\0", "[" * 20000, "{" * 20000, "x" * 100000, "=", "[]", "# x", "1e999 " * 40)))
    else:
        words = list(re.finditer(r"[^\s,:=\[\]]+", lines[at]))
        if words:
            word = pick(rng, words)
            nasty = (*NUMBERS, *TEXTS, "9" * 400, "9" * 5000, "true", "null", "[]", "{}", "-")
            lines[at] = lines[at][: word.start()] + pick(rng, nasty) + lines[at][word.end() :]
    return ("\n".join(lines) + "\n").encode("latin-1", "replace")


def _is_card(card: bytes) -> bool:
    return re.match(rb"[A-Z][A-Z0-9_-]* *= |HIERARCH |END +$", card) is not None


def _damage_card(data: bytes, at: int, rng: Rng) -> bytes:
    card = data[at : at + CARD].decode("latin-1")
    name, equals, _ = card.partition("=")
    kind = rng.integers(9)
    if kind < 4:
        card = f"{name}= {pick(rng, NUMBERS):>20}"
    elif kind == 4:
        card = f"{name}= '{pick(rng, TEXTS)}'"
    elif kind == 5:
        card = f"{name}= 'a string that nobody ends"
    elif kind == 6:
        card = "COMMENT the keyword that stood here is gone"
    elif kind == 7:
        return (
            data[: at + CARD]
            + f"{name}{equals} {pick(rng, NUMBERS):>20}".encode("latin-1")[:CARD].ljust(CARD)
            + data[at + 2 * CARD :]
        )
    else:
        card = pick(
            rng, ("CONTINUE  'more&'", "END", "\xe9\xff\0" * 20, "HIERARCH =", "HIERARCH A = ", name + "=", "XTENSION= 'IMAGE'")
        )
    return data[:at] + card.encode("latin-1")[:CARD].ljust(CARD) + data[at + CARD :]
