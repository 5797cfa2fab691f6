"""Raw runs that the benchmarks read: noise of a bias level, with time stamps, in the forms of the three cameras."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from roque.frames.cards import format_header

STAMP_WORDS = 18
WINDOW = 50 * 46
"""Pixels of each of the windows of windowed runs."""

TWO_WINDOWS = {f"ESO DET WIN{n} {k}": v for n in (1, 2) for k, v in {"NX": 50, "NY": 46, "YS": 100 * n}.items()}
TWO_WINDOWS |= {f"ESO DET WIN{n} XS{q}": 400 for n in (1, 2) for q in "EFGH"}


def hipercam_header(mode: str, pixels: int, frames: int, windows: dict[str, int]) -> bytes:
    """Header of a run of so many pixels per quadrant."""
    cards: dict[str, object] = {"SIMPLE": True, "BITPIX": 16, "NAXIS": 3, "NAXIS1": 20 * pixels + STAMP_WORDS, "NAXIS2": 1}
    cards |= {"NAXIS3": frames, "BSCALE": 1, "BZERO": 32768}
    cards |= {"DATE": "2026-03-14T23:59:40", "INSTRUME": "HIPERCAM", "EXPTIME": 0.1}
    cards |= {"ESO DET READ CURNAME": mode, "ESO DET SPEED": 0, "ESO DET BINX1": 1, "ESO DET BINY1": 1}
    cards |= dict.fromkeys((f"ESO DET {k}" for k in ("CLRCCD", "DUMMY", "INCPRSCX", "INCOVSCY")), False)
    cards |= {"ESO DET TDELAY": 100.0, "ESO DET TREAD": 20.0, "ESO DET TFT": 7.8}
    cards |= {f"ESO DET NSKIPS{ccd}": 0 for ccd in range(1, 6)}
    return format_header(cards | windows)


def hipercam_stamp(number: int) -> bytes:
    """Time stamp of a frame, counted from 0, a millisecond after the one before."""
    second, millisecond = divmod(number, 1000)
    minute, second = divmod(second, 60)
    fields = np.array([number, number, 2026, 73, 21 + minute // 60, minute % 60, second, 1_000_000 * millisecond], "<u4")
    words = np.concatenate([fields.view("<u2"), np.array([0x0107, 0], "<u2")])
    return (words.astype(">u2") ^ np.uint16(0x8000)).astype(">u2").tobytes()


def hipercam_pixels(pixels: int, seed: int) -> bytes:
    """Pixels of a frame."""
    return (np.random.default_rng(seed).integers(2400, 2600, 20 * pixels).astype(">u2") ^ 0x8000).astype(">u2").tobytes()


def write_hipercam(path: Path, mode: str, pixels: int, frames: int, windows: dict[str, int]) -> Path:
    """Write a run whose frames are all different."""
    with path.open("wb") as file:
        file.write(hipercam_header(mode, pixels, frames, windows))
        for number in range(frames):
            file.write(hipercam_pixels(pixels, number) + hipercam_stamp(number))
    return path


def write_ultra(run: Path, instrument: str, application: str, parameters: dict[str, int], pixels: int, frames: int) -> Path:
    """Write a run of ULTRACAM or ULTRASPEC of so many words a frame; gives its path without ending."""
    values = "".join(f'<parameter_status name="{k}" value="{v}"/>' for k, v in parameters.items())
    run.with_suffix(".xml").write_text(
        f'<datainfo><data_status framesize="{32 + 2 * pixels}"><header_status headerwords="16"/></data_status>'
        f'<instrument_status><name>{instrument}</name><application_status id="SDSU Exec" name="{application}"/>{values}'
        "</instrument_status><user><target>bench</target></user></datainfo>"
    )
    with run.with_suffix(".dat").open("wb") as file:
        for number in range(frames):
            second, tick = divmod(11_000_000 * number, 10**7)
            stamp = struct.pack("<IIIIIIH", 0, number + 1, 10_000, 1528236603 + second, tick, 0, 0x14).ljust(32, b"\0")
            counts = np.random.default_rng(number).integers(2400, 2600, pixels).astype("<u2")
            file.write(stamp + counts.tobytes())
    return run


ULTRACAM = {"EXPOSE_TIME": 10000, "NO_EXPOSURES": -1, "GAIN_SPEED": 0xCDD, "V_FT_CLK": 140 << 16, "REVISION": 140331}
ULTRACAM |= {"X_BIN_FAC": 1, "Y_BIN_FAC": 1}
ULTRACAM_PAIRS = {
    f"{word}{n}{rest}": value * (n if word == "Y" and rest == "_START" else 1)
    for n in (1, 2)
    for word, rest, value in (
        ("X", "L_START", 201),
        ("X", "R_START", 701),
        ("Y", "_START", 300),
        ("X", "_SIZE", 50),
        ("Y", "_SIZE", 46),
    )
}
ULTRASPEC = {"DWELL": 10000, "NUM_EXPS": -1, "SPEED": 1, "EN_CLR": 0, "HV_GAIN": 0, "OUTPUT": 0, "REVISION": 140331}
ULTRASPEC |= {"X_BIN": 1, "Y_BIN": 1, "X1_START": 17, "Y1_START": 1, "X1_SIZE": 1056, "Y1_SIZE": 1072, "X2_SIZE": 0}
