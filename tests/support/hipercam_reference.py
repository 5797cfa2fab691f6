"""Raw HiPERCAM frames word by word: as slow and plain as can be.

Written after the description of the format alone, to compare the reader with: it takes the cards of a header and the bytes of a
frame, and looks every word up by its index.
"""

from __future__ import annotations

import datetime as dt
import struct

import numpy as np

MJD_0 = dt.datetime(1858, 11, 17)
DET = "ESO DET "
PLACES = {  # x0, y0, sx, sy, ax, ay, flip in x, flip in y
    "E": (1, 1, 1, 1, 0, 0, False, False),
    "F": (1025, 1, -1, 1, 1, 0, True, False),
    "G": (1025, 513, -1, -1, 1, 1, True, True),
    "H": (1, 513, 1, -1, 0, 1, False, True),
}


def words_of(frame):
    """Unsigned words of a frame."""
    return [value + 32768 for (value,) in struct.iter_unpack(">h", frame)]


def set_ups(cards):
    """Unbinned NX, NY, YS and XS of each window set; None where there are no windows."""
    mode = cards[DET + "READ CURNAME"]
    if mode.startswith("FullFrame"):
        return [None]
    names = {"OneW": ["WIN1"], "TwoW": ["WIN1", "WIN2"], "Drif": ["DRWIN"]}[mode[:4]]
    return [
        {k: cards[f"{DET}{n} {k}"] for k in ("NX", "NY", "YS")} | {q: cards[f"{DET}{n} XS{q}"] for q in "EFGH"} for n in names
    ]


def windows_of(cards, frame):
    """Windows of a frame: for each CCD a list of (label, llx, lly, xbin, ybin, counts)."""
    words = words_of(frame)
    xbin, ybin = cards[DET + "BINX1"], cards[DET + "BINY1"]
    npre = 50 // xbin if cards[DET + "INCPRSCX"] else 0
    nover = 8 // ybin if cards[DET + "INCOVSCY"] else 0
    found, base = {ccd: [] for ccd in "12345"}, 0
    for number, setup in enumerate(set_ups(cards), start=1):
        if setup is None:
            nx, ny = (1024 + (50 if npre else 0)) // xbin, (512 + (8 if nover else 0)) // ybin
        else:
            nx, ny = setup["NX"] // xbin + npre, setup["NY"] // ybin + nover
        for ccd in "12345":
            for quad, label in enumerate("EFGH"):
                raw = np.empty((ny, nx))
                for pixel in range(nx * ny):
                    if cards.get(DET + "NSAMP", 4) == 4:
                        at = (pixel * 5 + int(ccd) - 1) * 4 + quad
                    else:
                        at = 80 * (pixel // 4) + 16 * (int(ccd) - 1) + 4 * (pixel % 4) + quad
                    raw[pixel // nx, pixel % nx] = words[base + at]
                turned = cards.get(f"{DET}ROTATE{ccd}", False)
                found[ccd] += cut(f"{label}{number}", ccd, raw, setup, (xbin, ybin), (npre, nover), turned)
        base += 20 * nx * ny
    return found


def cut(label, ccd, raw, setup, binning, scans, turned):
    """A window and its scans, from its pixels in the order of the read-out."""
    (xbin, ybin), (npre, nover) = binning, scans
    q = {"E": "F", "F": "E", "G": "H", "H": "G"}[label[0]] if ccd in "25" else label[0]
    position = {"E": "G", "G": "E", "F": "H", "H": "F"}[q] if turned else q
    x0, y0, sx, sy, ax, ay, flip_x, flip_y = PLACES[position]
    llx, lly = x0, y0
    if setup is not None:
        llx += sx * setup[position] + ax * (1024 - setup["NX"])
        lly += sy * setup["YS"] + ay * (512 - setup["NY"])
    counts = raw[:, ::-1] if flip_x else raw
    counts = counts[::-1] if flip_y else counts
    data, more = counts, []
    if npre:
        if q in "EH":
            scan, data, at = counts[:, :npre], data[:, npre:], -49
        else:
            scan, data, at = counts[:, -npre:], data[:, :-npre], 2049
        more.append((f"{label}P", at, -7 if nover and q in "EF" else lly, xbin, ybin, scan))
    if nover:
        if q in "EF":
            scan, data, at = data[-nover:], data[:-nover], -7
        else:
            scan, data, at = data[:nover], data[nover:], 1025
        more.append((f"{label}O", llx, at, xbin, ybin, scan))
    return [(label, llx, lly, xbin, ybin, data), *more]


def stamp_of(frame):
    """Number of a frame, its time stamp as MJD (days, s of the day), and whether it is good."""
    block = frame[-36:][:34]
    little = b"".join(struct.pack("<H", value + 32768) for (value,) in struct.iter_unpack(">h", block))
    counter, _, year, yearday, hour, minute, second, nanosecond, satellites, synced = struct.unpack("<8I2b", little)
    good = not ((satellites == -1 and synced == -1) or synced == 0)
    possible = 1582 <= year <= 9998 and 1 <= yearday <= 366 and hour < 24 and minute < 60 and second < 60 and nanosecond < 10**9
    date = dt.datetime(year, 1, 1) + dt.timedelta(days=yearday - 1) if possible else MJD_0
    if date.year != year:
        return counter + 1, 51544, float(counter + 1), False
    return counter + 1, (date - MJD_0).days, hour * 3600 + minute * 60 + second + nanosecond * 1e-9, good


def times_of(cards, frame):
    """For each CCD: day and s of the middle of its exposure, exposure, whether its time is good, whether it has data."""
    n, day, seconds, good = stamp_of(frame)
    clear, drift = cards[DET + "CLRCCD"], cards[DET + "READ CURNAME"].startswith("Drift")
    e, read = 1e-3 * cards[DET + "TDELAY"], 1e-3 * cards[DET + "TREAD"]
    windows = cards.get(DET + "DRIFT NWINS", 0) if drift else 0
    found = {}
    for ccd in "12345":
        s = cards[f"{DET}NSKIPS{ccd}"]
        if clear:
            delta, off, length = read + 1e-3 * cards[DET + "TCLEAR"] + e, e / 2, e
        elif drift:
            dump, shift = 1e-3 * cards[DET + "DRIFT TLINEDUMP"], 1e-3 * cards[DET + "DRIFT TLINESHIFT"]
            delta, length = 0.0, e + read + dump
            off = e + shift + (e + dump + read) / 2 - windows * (e + read + shift + dump)
        else:
            r = read - 1e-3 * cards[DET + "TFT"]
            delta = read + e
            off, length = (e / 2, e) if n == s + 1 else ((e - r) / 2, r + e)
        in_cycle = n % (s + 1) == 0
        found[ccd] = (
            day, seconds + off - delta * s / 2, delta * s + length, in_cycle and good, in_cycle and n > windows
        )  # fmt: skip
    return found
