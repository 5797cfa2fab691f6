"""Read logs of the C++ ULTRACAM pipeline, which came before that of HiPERCAM."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput, NotFound
from roque.frames.handle import OpenFile
from roque.photometry.flags import Flag

__all__ = ["flags_of", "read_ulog"]

_FRAME = ("name", "MJD", "MJDok", "Exptim", "CCD", "mfwhm", "mbeta")
_FRAME_OLD = ("name", "MJD", "MJDok", "nsat", "Exptim", "CCD", "mfwhm", "mbeta")
_APERTURE = ("label", "x", "y", "xm", "ym", "exm", "eym", "counts", "countse", "sky", "nsky", "nrej", "worst", "flag")
_KINDS = {"MJD": "f8", "MJDok": "?", **dict.fromkeys(("nframe", "nsat", "nsky", "nrej", "worst", "flag"), "i4")}
_REMEDY = "give a log of the C++ ULTRACAM pipeline; others name their columns and are read without origin=u"

_MOST_APERTURES = 1000
_NONE = float("inf")  # this very object stands for a word that is no number

_FLAGS = {
    0: Flag.ALL_OK,
    1: Flag.ALL_OK,  # a cosmic ray was taken out of the aperture
    2: Flag.SKY_AT_EDGE,
    3: Flag.SKY_AT_EDGE,  # and a cosmic ray was taken out
    4: Flag.ALL_OK,  # the sky is below -5 counts
    5: Flag.TARGET_NONLINEAR,  # "peppered"
    6: Flag.NO_SKY,
    7: Flag.ALL_OK,  # extra apertures were left out
    8: Flag.TARGET_SATURATED,
    9: Flag.NO_EXTRACTION,  # in no window
    10: Flag.TARGET_AT_EDGE | Flag.NO_EXTRACTION,
    11: Flag.NO_EXTRACTION,  # declared invalid
    12: Flag.JUNK,  # the blue CCD was not read out
}


class _Rows(NamedTuple):
    """Lines of a CCD: their words and their numbers in the file."""

    columns: tuple[str, ...]
    words: list[list[str]]
    lines: list[int]


def read_ulog(path: Path) -> tuple[list[str], dict[str, NDArray[np.void]]]:
    """Read a log of the C++ ULTRACAM pipeline.

    Parameters
    ----------
    path : Path
        The log. Rows are ``name mjd flag expose ccd fwhm beta``, in old ones with the number of satellites after the flag, and
        for each aperture ``naper x y xm ym exm eym counts sigma sky nsky nrej worst error_flag``.

    Returns
    -------
    comments : list of str
        Its lines of comment.
    tables : dict of str to structured array
        By label of the CCD, in the order of their first rows. Columns: nframe (counted where files were reduced), MJD, MJDok,
        nsat where it was written, Exptim, mfwhm, mbeta, and for each aperture x, y (as used), xm, ym (as measured), exm, eym,
        counts, countse, sky, nsky, nrej, worst, flag (the code that was written: see `flags_of`), each followed by its label.
        What has an error that is not positive was not measured and is NaN, as are a FWHM and beta of 0, and the sky of no
        pixels.

    Raises
    ------
    NotFound
        There is no such file.
    BadInput
        Not such a log, or a row that does not fit.
    """
    try:
        with OpenFile(path):  # what is no file is refused
            text = path.read_text(encoding="ascii")
    except NotFound as error:
        raise NotFound("no such log", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise BadInput("not a log: it is not text", file=str(path), place=f"byte {error.start}", remedy=_REMEDY) from error
    comments: list[str] = []
    found: dict[str, _Rows] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("#"):
            comments.append(line.rstrip("\r"))
        elif words := line.split():
            _add(found, words, number, path)
    if not found:
        raise BadInput("no row in it", file=str(path), place=f"line {text.count(chr(10)) + 1}", remedy=_REMEDY)
    return comments, {ccd: _table(rows, path) for ccd, rows in found.items()}


def flags_of(codes: NDArray[Any]) -> NDArray[np.uint32]:
    """Bits of `roque.photometry.flags.Flag` for error codes of that pipeline; JUNK for codes that it did not have."""
    distinct, place = np.unique(codes, return_inverse=True)
    return np.array([_FLAGS.get(code, Flag.JUNK) for code in distinct.tolist()], np.uint32)[place]


def _add(found: dict[str, _Rows], words: list[str], number: int, path: Path) -> None:
    """Put a row to the others of its CCD."""
    frame = _FRAME if (len(words) - len(_FRAME)) % len(_APERTURE) == 0 else _FRAME_OLD
    apertures, rest = divmod(len(words) - len(frame), len(_APERTURE))
    if rest or not 1 <= apertures <= _MOST_APERTURES:
        message = f"{len(words)} items are not 7 or 8 and 14 for each aperture, of which there are at most {_MOST_APERTURES}"
        raise BadInput(message, file=str(path), place=f"line {number}", remedy=_REMEDY)
    labels = words[len(frame) :: len(_APERTURE)]
    columns = (*frame, *(f"{name}_{label}" for label in labels for name in _APERTURE))
    rows = found.setdefault(words[frame.index("CCD")], _Rows(columns, [], []))
    if rows.columns != columns or len({*columns}) < len(columns):
        message = f"its apertures are not those of line {rows.lines[0] if rows.lines else number}, or stand there twice"
        raise BadInput(message, file=str(path), place=f"line {number}", remedy="give logs of one set of apertures each")
    rows.words.append(words)
    rows.lines.append(number)


def _table(rows: _Rows, path: Path) -> NDArray[np.void]:
    words = dict(zip(rows.columns, zip(*rows.words, strict=True), strict=True))
    names = words["name"]
    words["nframe"] = names if all(name.isdecimal() for name in names) else tuple(str(k + 1) for k in range(len(names)))
    order = ["nframe", *(name for name in rows.columns if name not in ("name", "CCD") and not name.startswith("label_"))]
    table = np.zeros(len(rows.words), [(name, _KINDS.get(name.split("_", 1)[0], "f4")) for name in order])
    for name in order:
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite
            table[name] = _numbers(words[name], table.dtype[name].kind, name, rows.lines, path)
    for name in ("mfwhm", "mbeta"):
        table[name][table[name] <= 0] = np.nan
    for label in (name.removeprefix("label_") for name in rows.columns if name.startswith("label_")):
        pairs = (("exm", ("xm", "exm")), ("eym", ("ym", "eym")), ("countse", ("counts", "countse")), ("nsky", ("sky",)))
        for judge, spoilt in pairs:
            unmeasured = ~(table[f"{judge}_{label}"] > 0)
            for name in spoilt:
                table[f"{name}_{label}"][unmeasured] = np.nan
    return table


def _numbers(words: tuple[str, ...], kind: str, name: str, lines: list[int], path: Path) -> list[float]:
    values: list[float] = []
    for word, line in zip(words, lines, strict=True):
        try:
            value = _NONE if "_" in word else float(word) if kind == "f" else int(word)  # Python takes 1_000 for a number
        except ValueError:
            value = _NONE
        if (kind == "b" and value not in (0, 1)) or (kind != "f" and abs(value) >= 1 << 31) or value is _NONE:
            message = f"{word[:40]!r} is no value of {name}"
            raise BadInput(message, file=str(path), place=f"line {line}", remedy=_REMEDY)
        values.append(value)
    return values
