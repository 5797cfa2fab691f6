"""Raw runs read plainly, by the references of the tests, to compare what roque makes of a file with."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np

from tests.mutants.honest_fits import BLOCK, Refused, header_of, number, ones_sum
from tests.support import hipercam_reference, ultra_reference

__all__ = ["hipercam", "ultra"]

DET = "ESO DET "
FIXED = {"BITPIX": 16, "NAXIS": 3, "NAXIS2": 1, "BZERO": 32768}


def hipercam(data):
    """Frames of a raw run, by (CCD, label): left, low, binning, counts; and whether size or sum are others than announced."""
    cards, start, repeated = header_of(data)
    if repeated or any(cards.get(k) != v for k, v in FIXED.items()) or cards.get("BSCALE", 1) != 1:
        raise Refused("not a raw run")
    size, frames = 2 * number(cards, "NAXIS1"), number(cards, "NAXIS3")
    whole = min(max(frames, 0), (len(data) - start) // size) if size > 0 else 0
    if whole and _words(cards) > size // 2 - 18:
        raise Refused("pixels do not fit")
    made = []
    for at in range(start, start + whole * size, size):
        found = hipercam_reference.windows_of(cards, data[at : at + size])
        made.append({(ccd, label): (*place, counts) for ccd, own in found.items() for label, *place, counts in own})
    end = start + -(-frames * size // BLOCK) * BLOCK
    told = cards.get("DATASUM")
    other = isinstance(told, str) and told.isdigit() and int(told) != ones_sum(data[start : start + frames * size])
    return made, whole < frames or frames == 0 or len(data) > end or other


def _words(cards):
    """Words of the pixels of a frame, before anything is made of that size."""
    xbin, ybin = number(cards, DET + "BINX1"), number(cards, DET + "BINY1")
    try:
        sizes = [(s["NX"], s["NY"]) if s else (1024, 512) for s in hipercam_reference.set_ups(cards)]
        return sum(20 * (nx // xbin) * (ny // ybin) for nx, ny in sizes)
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise Refused(repr(error)) from None


def ultra(xml, dat):
    """Frames of a raw run of ULTRACAM or ULTRASPEC, and whether its size is another than that of whole frames."""
    try:
        root = ET.fromstring(xml)
        status = next(root.iter("instrument_status"))
        told = {e.attrib["name"]: e.attrib["value"] for e in status.iter("parameter_status")}
        size = int(next(root.iter("data_status")).attrib["framesize"])
        words = int(next(root.iter("header_status")).attrib["headerwords"])
        instrument = "".join(next(status.iter("name")).itertext()).strip().upper()
        application = next(a.attrib["name"] for a in status.iter("application_status") if a.attrib.get("id") == "SDSU Exec")
    except (ET.ParseError, StopIteration, KeyError, ValueError, LookupError) as error:
        raise Refused(str(error)) from None
    if size <= 2 * words:
        raise Refused("no frames")
    parameters = {name: int(value) for name, value in told.items() if re.fullmatch(r"\s*[+-]?\d{1,12}\s*", value)}
    parameters |= {"OUTPUT": int(told["OUTPUT"].strip() != "0")} if "OUTPUT" in told else {}
    version = next((v for v in (_revision(root), told.get("REVISION"), told.get("VERSION")) if v is not None), "-1")
    for n in "1234":
        # a window larger than the frame is none, and costs no memory here
        if abs(parameters.get(f"X{n}_SIZE", 0)) * abs(parameters.get(f"Y{n}_SIZE", 0)) > 1 << 16:
            del parameters[f"X{n}_SIZE"]
    frames = []
    for start in range(0, len(dat) - size + 1, size):
        body = np.frombuffer(dat, "<u2", size // 2 - words, start + 2 * words)
        try:
            found = ultra_reference.windows_of(instrument, application, parameters, int(version), body)
        except (KeyError, ValueError, TypeError, IndexError, ZeroDivisionError) as error:
            raise Refused(repr(error)) from None
        frames.append({(ccd, label): (*place, np.array(counts)) for ccd, label, *place, _, counts in found})
    return frames, len(dat) % size != 0 or not frames


def _revision(root):
    user = next(root.iter("user"), None)
    text = (user.findtext("revision") or "").strip() if user is not None else ""
    return text if re.fullmatch(r"-?\d+", text) else None
