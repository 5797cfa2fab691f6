"""Raw HiPERCAM runs made in the tests, pixel by pixel by the format's description, not by the code under test."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

CHIP = 1 << 15


def stamp(counter, when, *, satellites=7, synced=1, fields=None):
    """36 bytes of timing: 8 unsigned integers, 2 signed bytes, a word that is not used."""
    values = [
        counter,
        counter,
        when.year,
        when.timetuple().tm_yday,
        when.hour,
        when.minute,
        when.second,
        when.microsecond * 1000,
    ]
    for index, value in (fields or {}).items():
        values[index] = value
    words = np.array(values, "<u4").view("<u2").tolist()
    words.append(int(np.array([satellites, synced], "i1").view("<u2")[0]))
    words.append(0)
    return ((np.array(words) - CHIP).astype(">i2")).tobytes()


@dataclass
class RawRun:
    """A run to be written: `pixels[frame][window set]` has the shape (ny, nx, 5 CCDs, 4 quadrants) in the order of read-out."""

    cards: dict[str, Any]
    sets: list[tuple[int, int]]
    pixels: list[list[np.ndarray]]
    stamps: list[bytes]
    nsamp: int = 4
    extra: list[str] = field(default_factory=list)

    @property
    def frame_bytes(self) -> int:
        return 2 * (20 * sum(nx * ny for nx, ny in self.sets) + 18)

    def header(self) -> bytes:
        lines = []
        for key, value in self.cards.items():
            text = {True: "T", False: "F"}.get(value) if isinstance(value, bool) else repr(value)
            lines.append(f"{key:<8}= {text:>20}" if len(key) <= 8 and " " not in key else f"HIERARCH {key} = {text}")
        data = "".join(line.ljust(80) for line in [*lines, *self.extra, "END"]).encode()
        return data.ljust(-(-len(data) // 2880) * 2880)

    def frame(self, i: int) -> bytes:
        words = []
        for data in self.pixels[i]:
            if self.nsamp == 4:
                words.append(data.reshape(-1))
            else:
                pixels = data.reshape(-1, 4, 5, 4)  # groups, pixel in the group, CCD, quadrant
                words.append(pixels.transpose(0, 2, 1, 3).reshape(-1))
        return (np.concatenate(words).astype(np.int32) - CHIP).astype(">i2").tobytes() + self.stamps[i]

    def write(self, path: Path, *, cut: int = 0, tail: bytes = b"") -> Path:
        data = self.header() + b"".join(self.frame(i) for i in range(len(self.pixels))) + tail
        path.write_bytes(data[: len(data) - cut])
        return path


START = dt.datetime(2026, 3, 14, 23, 59, 59)


def make_run(
    frames=3,
    mode="OneWindow",
    windows=((8, 6, 20, (100, 110, 120, 130)),),
    binning=(1, 1),
    nsamp=4,
    prescan=False,
    overscan=False,
    cards=None,
    counters=None,
    seed=1,
):
    rng = np.random.default_rng(seed)
    xbin, ybin = binning
    keys: dict[str, Any] = {"SIMPLE": True, "BITPIX": 16, "NAXIS": 3, "NAXIS1": 0, "NAXIS2": 1, "NAXIS3": frames}
    keys |= {"BSCALE": 1, "BZERO": 32768, "OBJECT": "Test", "FILTERS": "us,gs,rs,is,zs", "INSTRUME": "HIPERCAM"}
    keys |= {"ESO DET READ CURNAME": mode, "ESO DET CLRCCD": False, "ESO DET DUMMY": False}
    keys |= {"ESO DET INCPRSCX": prescan, "ESO DET INCOVSCY": overscan, "ESO DET SPEED": 0}
    keys |= {"ESO DET NSAMP": nsamp, "ESO DET BINX1": xbin, "ESO DET BINY1": ybin}
    keys |= {"ESO DET TDELAY": 480.0, "ESO DET TREAD": 150.0, "ESO DET TFT": 7.8, "ESO DET TCLEAR": 20.0}
    keys |= {f"ESO DET NSKIPS{ccd}": 0 for ccd in range(1, 6)}
    scans = (50 // xbin if prescan else 0, 8 // ybin if overscan else 0)
    sets = []
    if mode == "FullFrame":
        sets.append((1024 // xbin + scans[0], 512 // ybin + scans[1]))
    for number, (nx, ny, ys, starts) in enumerate(windows if mode != "FullFrame" else (), start=1):
        name = "DRWIN" if mode == "Drift" else f"WIN{number}"
        keys |= {f"ESO DET {name} NX": nx, f"ESO DET {name} NY": ny, f"ESO DET {name} YS": ys}
        keys |= {f"ESO DET {name} XS{q}": x for q, x in zip("EFGH", starts, strict=True)}
        sets.append((nx // xbin + scans[0], ny // ybin + scans[1]))
    if mode == "Drift":
        keys |= {"ESO DET DRIFT NWINS": 4, "ESO DET DRIFT TLINEDUMP": 0.3, "ESO DET DRIFT TLINESHIFT": 0.3}
    run = RawRun(
        cards=keys,
        sets=sets,
        pixels=[[rng.integers(0, 65536, (ny, nx, 5, 4)) for nx, ny in sets] for _ in range(frames)],
        stamps=[stamp(c, START + i * dt.timedelta(seconds=0.63)) for i, c in enumerate(counters or range(frames))],
        nsamp=nsamp,
    )
    run.cards |= {"NAXIS1": run.frame_bytes // 2} | (cards or {})
    return run
