"""FITS, hcm and gzip read plainly, after their descriptions alone, to compare what roque makes of a file with."""

from __future__ import annotations

import gzip
import math
import re
import zlib

import numpy as np

__all__ = ["Refused", "Unknown", "fits_images", "gunzip", "hcm", "hdus", "header_of", "number", "ones_sum", "sums_agree"]

BLOCK = 2880
TYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


class Refused(Exception):
    """An honest reader would not take these bytes for a run."""


class Unknown(Exception):
    """Nothing in these bytes tells what the pixels were."""


def value_of(text):
    text = text.strip()
    if text.startswith("'"):
        found = re.match(r"'((?:[^']|'')*)'", text)
        return found[1].replace("''", "'").rstrip() if found else None
    word = text.partition("/")[0].strip()
    if word in {"T", "F"}:
        return word == "T"
    if re.fullmatch(r"[+-]?\d+", word):
        return int(word)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?", word):
        value = float(re.sub("[dD]", "E", word))
        return value if math.isfinite(value) else word
    return word or None


def header_of(data, at=0):
    """Keywords of the header at a byte, and the byte after it; of a repeated keyword the first value."""
    found, repeated = {}, False
    for start in range(at, len(data) - 79, 80):
        card = data[start : start + 80].decode("latin-1")
        if card.startswith("END     "):
            size = start + 80 - at
            return found, at + -(-size // BLOCK) * BLOCK, repeated
        name = card[:8].rstrip() if card[8:10] == "= " else card[9:].partition("=")[0].strip() * card.startswith("HIERARCH ")
        if name and name not in {"COMMENT", "HISTORY"}:
            value = value_of(card[10:] if card[8:10] == "= " else card.partition("=")[2])
            repeated = repeated or found.get(name, value) != value
            found.setdefault(name, value)
    raise Refused("no END")


def number(table, name, default=None):
    value = table.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(f"{name} is {value!r}")
    return value


def ones_sum(data):
    data = data + bytes(-len(data) % 4)
    total = int(np.frombuffer(data, ">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def hdus(data):
    """Header, first byte, first byte of data, and byte after the data of each HDU; bytes that make no HDU end the list."""
    at = 0
    while at == 0 or data[at : at + 8] == b"XTENSION":
        h, start, repeated = header_of(data, at)
        axes = [number(h, f"NAXIS{i + 1}") for i in range(number(h, "NAXIS"))]
        if h.get("BITPIX") not in TYPES or min([0, *axes]) < 0 or number(h, "PCOUNT", 0) < 0 or number(h, "GCOUNT", 1) < 0:
            raise Refused("nonsense")
        size = abs(h["BITPIX"]) // 8 * h.get("GCOUNT", 1) * (h.get("PCOUNT", 0) + (math.prod(axes) if axes else 0))
        if start + size > len(data):
            raise Refused("cut short")
        yield h, at, start, start + size, repeated
        at = start + -(-size // BLOCK) * BLOCK


def sums_agree(data):
    """Whether no DATASUM contradicts its data, and no CHECKSUM that stands with one its header."""
    for h, at, start, end, _ in hdus(data):
        told = h.get("DATASUM")
        if isinstance(told, str) and told.isdigit():
            if int(told) != ones_sum(data[start:end]):
                return False
            if (
                isinstance(h.get("CHECKSUM"), str)
                and ones_sum(ones_sum(data[at:start]).to_bytes(4) + int(told).to_bytes(4)) != 0xFFFFFFFF
            ):
                return False
    return True


def fits_images(data):
    """Images of a file, as they become: header and counts."""
    found = []
    for h, _, start, end, repeated in hdus(data):
        if len([1 for i in range(h["NAXIS"]) if h[f"NAXIS{i + 1}"] > 0]) == h["NAXIS"] == 2 and "TFIELDS" not in h:
            raw = np.frombuffer(data[start:end], TYPES[h["BITPIX"]])[: h["NAXIS1"] * h["NAXIS2"]].reshape(
                h["NAXIS2"], h["NAXIS1"]
            )
            scale, zero = h.get("BSCALE", 1), h.get("BZERO", 0)
            double = h["BITPIX"] == -64
            with np.errstate(all="ignore"):
                counts = raw if (scale, zero) == (1, 0) else raw * np.float64(scale) + np.float64(zero)
                found.append((h, counts.astype(np.float64 if double else np.float32), repeated))
    return found


def hcm(data):
    """The frame of an hcm file."""
    frame, first = {}, header_of(data)[0]
    announced = {"": first.get("NUMCCD") if first.get("HIPERCAM") == "MCCD" else 0}
    for h, counts, repeated in fits_images(data):
        own = [label for c, label in frame if c == str(h.get("CCD", "1"))]
        key = str(h.get("CCD", "1")), re.sub(r"[^ -~]", "?", str(h.get("WINDOW", len(own) + 1)))
        if repeated or key in frame:
            raise Refused("a keyword or a window stands twice")
        frame[key] = (*(number(h, k) for k in ("LLX", "LLY", "XBIN", "YBIN")), counts)
        announced.setdefault(key[0], h.get("NUMWIN") if first.get("HIPERCAM") == "MCCD" else 0)
    there = {"": len({ccd for ccd, _ in frame}), **{own: sum(ccd == own for ccd, _ in frame) for own, _ in frame}}
    if not frame or any(isinstance(n, int) and there[name] < n for name, n in announced.items()):
        raise Refused("windows are missing")
    return [frame], False


def gunzip(data):
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise Refused(str(error)) from None
