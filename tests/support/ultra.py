"""ULTRACAM and ULTRASPEC runs made in the tests, byte by byte by the format's description, not by the code under test."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

DAY = 86400.0
GOLDEN_SECOND = 1528236603  # since 1970: in the night of the golden runs
GOLDEN_STAMP_WORDS = 16
GOOD = 0x14  # clock synchronised


def stamp2(number, second, tick=0, *, units=10000, status=GOOD, junk=False, words=16):
    """Time stamp of the second format: seconds since 1970 and ticks of 100 ns."""
    data = struct.pack("<IIIIIIH", 0x10 if junk else 0, number, units, second, tick, 0, status)
    return data.ljust(2 * words, b"\0")


def stamp1(number, second, nanosecond, date, *, satellites=8, junk=False, words=12):
    """Time stamp of the first format: seconds of the week, and a date (day, month, year)."""
    data = struct.pack("<BxxxIxIIBBHh", 8 if junk else 0, number, second, nanosecond, *date, satellites)
    return data.ljust(2 * words, b"\0")


@dataclass
class UltraFile:
    """A run to be written: `pixels[frame]` are words in the order of read-out."""

    application: str
    parameters: dict[str, object]
    pixels: np.ndarray
    stamps: list[bytes]
    instrument: str = "Ultracam"
    user: dict[str, str] | None = field(default_factory=lambda: {"target": "a", "flags": "data"})

    @property
    def words(self) -> int:
        return len(self.stamps[0]) // 2

    def xml(self) -> str:
        parameters = "".join(f'<parameter_status name="{k}" value="{v}"/>' for k, v in self.parameters.items())
        user = "".join(f"<{k}>{v}</{k}>" for k, v in (self.user or {}).items())
        size = 2 * self.words + 2 * self.pixels.shape[1]
        return (
            f'<datainfo><data_status framesize="{size}"><header_status headerwords="{self.words}"/></data_status>'
            f"<instrument_status><name>{self.instrument}</name>"
            f'<application_status id="SDSU Exec" name="{self.application}"/>{parameters}</instrument_status>'
            f"{f'<user>{user}</user>' if self.user is not None else ''}</datainfo>"
        )

    def data(self) -> bytes:
        return b"".join(s + p.astype("<u2").tobytes() for s, p in zip(self.stamps, self.pixels, strict=True))

    def write(self, folder: Path, name: str = "run012") -> Path:
        (folder / f"{name}.xml").write_text(self.xml())
        (folder / f"{name}.dat").write_bytes(self.data())
        return folder / name


ULTRACAM = {"EXPOSE_TIME": 10000, "NO_EXPOSURES": -1, "GAIN_SPEED": 0xCDD, "V_FT_CLK": 140 << 16, "REVISION": 140331}
ULTRASPEC = {"DWELL": 10000, "NUM_EXPS": -1, "SPEED": 1, "EN_CLR": 0, "HV_GAIN": 0, "OUTPUT": 0, "REVISION": 140331}


def pairs(*windows, xbin=1, ybin=1):
    """Parameters of pairs of windows: (left, right, low, columns, rows), unbinned."""
    found = {"X_BIN_FAC": xbin, "Y_BIN_FAC": ybin}
    for n, window in enumerate(windows, start=1):
        names = (f"X{n}L_START", f"X{n}R_START", f"Y{n}_START", f"X{n}_SIZE", f"Y{n}_SIZE")
        found |= dict(zip(names, window, strict=True))
    return found


def spec_windows(*windows, xbin=1, ybin=1):
    """Parameters of windows of ULTRASPEC: (x, y, columns, rows), sizes binned."""
    found = {"X_BIN": xbin, "Y_BIN": ybin}
    for n in range(1, 5):
        x, y, nx, ny = windows[n - 1] if n <= len(windows) else (1, 1, 0, 0)
        found |= {f"X{n}_START": x, f"Y{n}_START": y, f"X{n}_SIZE": nx, f"Y{n}_SIZE": ny}
    return found


def steady(n, *, second=1528236603, cycle=1.1, **kwargs):
    """Time stamps of the second format, a cycle apart."""
    ticks = [round(i * cycle * 1e7) for i in range(n)]
    return [stamp2(i + 1, second + t // 10**7, t % 10**7, **kwargs) for i, t in enumerate(ticks)]


def ultracam_run(application, parameters, npixels, n=3, *, seed=1, stamps=None, **more):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 65536, (n, npixels), np.uint16)
    return UltraFile(application, ULTRACAM | parameters, pixels, stamps or steady(n), **more)


def ultraspec_run(application, parameters, npixels, n=3, *, seed=1, stamps=None, **more):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 65536, (n, npixels), np.uint16)
    return UltraFile(application, ULTRASPEC | parameters, pixels, stamps or steady(n), "Ultraspec", **more)


def golden_run(golden: Path, name: str) -> tuple[bytes, bytes, int]:
    """Header, frames, and bytes of a frame of a golden run."""
    path = golden / "ultracam" / name
    xml = path.with_suffix(".xml").read_bytes()
    return xml, path.with_suffix(".dat").read_bytes(), int(xml.split(b'framesize="')[1].split(b'"')[0])


def golden_calibrations(golden: Path, night: Path) -> tuple[str, ...]:
    """Put bias and flat for the golden run002 into a folder, made of run001; gives the names of their files."""
    xml, data, size = golden_run(golden, "run001")
    lit = np.frombuffer(data, np.uint16).reshape(-1, size // 2).copy()
    lit[:, GOLDEN_STAMP_WORDS:] += np.linspace(22_000, 18_000, len(lit)).astype(np.uint16)[:, None]
    flat = xml.replace(b"<flags>bias<", b"<flags>flat<").replace(b"<target>Bias<", b"<target>Flat<")
    made = {"run001.xml": xml, "run001.dat": data, "run003.xml": flat, "run003.dat": lit.tobytes()}
    for name, content in made.items():
        (night / name).write_bytes(content)
    return tuple(made)


def golden_stars(golden: Path, path: Path, frames: int, minute: int) -> int:
    """Write the pixels of the golden run002 over and over into a .dat, with its .xml, which announces nothing.

    Each frame has the next time stamp, 50 ms after the one before. Gives the bytes of a frame.
    """
    xml, data, size = golden_run(golden, "run002")
    with path.open("wb") as file:
        for number in range(frames):
            place = (number % (len(data) // size)) * size
            second, tick = divmod(500_000 * number, 10**7)
            stamp = stamp2(number + 1, GOLDEN_SECOND + 60 * minute + second, tick, words=13)
            # the first word says whether the blue CCD was read out
            file.write(data[place : place + 4] + stamp[4:] + data[place + len(stamp) : place + size])
    path.with_suffix(".xml").write_bytes(xml)
    return size
