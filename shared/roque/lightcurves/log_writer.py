"""Write the ASCII reduce log, as the tools of the HiPERCAM pipeline read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roque.frames.files import write_whole
from roque.lightcurves._text import WIDEST, format_rows, merge_rows
from roque.lightcurves.barycentre import Barycentre
from roque.lightcurves.log_columns import APERTURE_COLUMNS, MEASUREMENT_FIELD, TEXT, decimals_of, log_dtype
from roque.photometry.apertures import Apertures, dumps
from roque.photometry.flags import DESCRIPTIONS
from roque.photometry.measurements import Measurements

__all__ = ["LogHeader", "LogRows", "exposure_texts", "row_text", "write_log"]

_BLOCK = 2000  # frames that are formatted at a time
_LEFT_OUT = frozenset({"lcplot", "light", "transmission", "seeing"})
_OPENING = """\
#
# This is a reduce log: after these comments, one line per CCD and frame with all its apertures.
# It has the layout of the logs of the HiPERCAM pipeline's command 'reduce', and was written by
#
"""
_COLUMNS = """\
#
# Each line has, separated by blanks:
#
#    CCD     : label of the CCD
#    nframe  : number of the frame in the run, from 1
#    MJD     : middle of the exposure, UTC
#    MJDok   : 1 if the time can be trusted
#    Exptim  : exposure time, seconds
#    mfwhm   : mean FWHM of the fitted stars of the CCD, unbinned pixels
#    mbeta   : mean Moffat exponent
#
# and for each aperture, followed by its label:
#
#    x, xe           : position in X and its error, unbinned pixels
#    y, ye           : position in Y and its error
#    fwhm, fwhme     : FWHM and its error, unbinned pixels
#    beta, betae     : Moffat exponent and its error, -1 where it was held
#    counts, countse : counts in the aperture less sky, and their error
#    sky, skye       : sky per binned pixel and its error, counts
#    nsky, nrej      : sky pixels kept and rejected
#    cmax            : brightest raw pixel in the aperture, counts
#    flag            : bits of what is wrong with it, 0 if nothing is:
#
"""
_BARYCENTRIC = """\
# At the end of each line:
#
#    BJD     : middle of the exposure at the barycentre of the solar system, BJD (TDB)
#    HJD     : the same at the Sun, HJD (UTC)
#
"""


@dataclass(frozen=True, kw_only=True)
class LogHeader:
    """What stands at the top of a log.

    Parameters
    ----------
    version : str
        Software and version that made the measurements.
    parameters : mapping of str to str
        What the reduction was asked for: run, reduce file, ....
    reduce_file : sequence of str
        Lines of the reduce file.
    offset : int
        Days taken off the times.
    barycentre : Barycentre or None
        Where the columns BJD and HJD come from, at the end of each row; None: there are none.
    """

    version: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    reduce_file: Sequence[str] = ()
    offset: int = 0
    barycentre: Barycentre | None = None


@dataclass(frozen=True)
class LogRows:
    """Rows of one CCD as numbers.

    Parameters
    ----------
    label : str
        Of the CCD.
    names : sequence of str
        Of the columns.
    values : array of float64, shape (rows, columns)
        All numbers; the exposure stands here too, but is written as `exposures`.
    exposures : array of bytes
        Texts of the exposures.
    """

    label: str
    names: Sequence[str]
    values: NDArray[np.float64]
    exposures: NDArray[np.bytes_]


def write_log(path: Path, measurements: Measurements | Iterable[Measurements], apertures: Apertures, header: LogHeader) -> None:
    """Write measurements as a reduce log; it appears whole or not at all.

    Parameters
    ----------
    path : Path
        File to write; replaced if it exists.
    measurements : array of dtype `MEASUREMENT`, or an iterable of such arrays
        All of a run, or parts of it one after another, each of whole frames; every aperture of a CCD has a row in each frame in
        which the CCD has any.
    apertures : Apertures
        As the reduction began with them; columns are in their order. CCDs without apertures have no columns.
    header : LogHeader
        What else to say.

    Raises
    ------
    ValueError
        A frame lacks an aperture, or has one that `apertures` does not have.
    OSError
        The file cannot be written.
    """
    labels = {ccd: list(group) for ccd, group in apertures.items() if group}
    batches = [measurements] if isinstance(measurements, np.ndarray) else measurements
    with write_whole(path) as part, part.open("wb") as file:
        file.write("".join(f"{line}\n" for line in _header_lines(apertures, labels, header)).encode())
        for batch in batches:
            for block in _blocks(batch):
                file.write(_block_text(block, labels, header))


def row_text(rows: LogRows) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Format the rows of a CCD: their text, and where each row begins in it (with the end as last entry)."""
    n, columns = rows.values.shape
    label = np.frombuffer(rows.label.encode(), np.uint8)
    text = np.empty(n * (len(label) + 2 + WIDEST * columns), np.uint8)
    starts = np.empty(n + 1, np.int64)
    exposures = np.ascontiguousarray(rows.exposures)
    width = exposures.dtype.itemsize
    decimals = np.array(decimals_of(rows.names), np.int64)
    lengths = np.char.str_len(exposures).astype(np.int64)
    fault = format_rows(rows.values, decimals, label, exposures.view(np.uint8).reshape(n, width), lengths, text, starts)
    if fault >= 0:
        return _row_text_plain(rows, decimals)
    return text[: starts[-1]], starts


def _row_text_plain(rows: LogRows, decimals: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Do the same in plain Python, for rows with infinities or numbers of more than 18 digits."""
    texts = []
    for values, exposure in zip(rows.values, rows.exposures, strict=True):
        words = [
            exposure.decode() if places == TEXT else f"{value:.{max(0, places)}f}"
            for value, places in zip(values, decimals, strict=True)
        ]
        texts.append(" ".join([rows.label, *words]).encode() + b" \n")
    starts = np.cumsum([0, *map(len, texts)])
    return np.frombuffer(b"".join(texts), np.uint8), starts


def exposure_texts(exposures: NDArray[np.floating]) -> NDArray[np.bytes_]:
    """Texts of exposures with 8 digits; of a float32 those that it was read from, 0.48 and not 0.47999999."""
    distinct, place = np.unique(exposures, return_inverse=True)
    return np.array([f"{float(str(value)):.8g}".encode() for value in distinct], "S")[place]


def _blocks(batch: Measurements) -> Iterator[Measurements]:
    """Cut measurements into blocks of some whole frames, in the order of frames."""
    batch = batch[np.argsort(batch["frame"], kind="stable")]
    frames, first = np.unique(batch["frame"], return_index=True)
    for k in range(0, len(frames), _BLOCK):
        yield batch[first[k] : first[k + _BLOCK] if k + _BLOCK < len(frames) else len(batch)]


def _block_text(block: Measurements, labels: dict[str, list[str]], header: LogHeader) -> memoryview:
    """Text of some frames: frame by frame, in each of them the CCDs in the order of the apertures."""
    unknown = set(np.unique(block["ccd"]).tolist()) - labels.keys()
    if unknown:
        raise ValueError(f"measurements of CCD {', '.join(sorted(unknown))}, for which there are no apertures")
    texts, begins, ends, frames = [], [], [], []
    size = 0
    for ccd, names in labels.items():
        mine = block[block["ccd"] == ccd]
        if not len(mine):
            continue
        rows = _ccd_rows(mine, ccd, names, header)
        text, starts = row_text(rows)
        texts.append(text)
        begins.append(starts[:-1] + size)
        ends.append(starts[1:] + size)
        frames.append(rows.values[:, 0])
        size += len(text)
    order = np.argsort(np.concatenate(frames), kind="stable")
    out = np.empty(size + 2 * len(order), np.uint8)
    merge_rows(np.concatenate(texts), np.concatenate(begins)[order], np.concatenate(ends)[order], True, out)
    return out.data


def _ccd_rows(block: Measurements, ccd: str, names: list[str], header: LogHeader) -> LogRows:
    """Put the apertures of each frame side by side."""
    order = {name: k for k, name in enumerate(names)}
    distinct, place = np.unique(block["aperture"], return_inverse=True)
    ranks = np.array([order.get(name, -1) for name in distinct.tolist()], np.int64)[place]
    sequence = np.lexsort((ranks, block["frame"]))
    if len(block) % len(names):
        raise ValueError(f"CCD {ccd}: not every frame has every aperture once")
    wide = block[sequence].reshape(-1, len(names))
    frames = wide["frame"]
    one_of_each = np.all(ranks[sequence].reshape(-1, len(names)) == np.arange(len(names)))
    if not one_of_each or np.any(frames != frames[:, :1]) or np.any(np.diff(frames[:, 0]) == 0):
        raise ValueError(f"CCD {ccd}: not every frame has every aperture once")
    columns = log_dtype(names, header.offset, barycentric=header.barycentre is not None).names or ()
    values = np.empty((len(wide), len(columns)))
    first = wide[:, 0]
    values[:, 0] = first["frame"]
    values[:, 1] = (first["mjd_int"] - header.offset) + first["mjd_frac"]
    values[:, 2] = first["time_ok"]
    values[:, 3] = first["exposure"]
    values[:, 4], values[:, 5] = first["mfwhm"], first["mbeta"]
    for k, (name, _) in enumerate(APERTURE_COLUMNS):
        values[:, 6 + k : 6 + wide.shape[1] * len(APERTURE_COLUMNS) : len(APERTURE_COLUMNS)] = wide[MEASUREMENT_FIELD[name]]
    if header.barycentre is not None:
        values[:, -2] = header.barycentre.bjd(first["mjd_int"], first["mjd_frac"])
        values[:, -1] = header.barycentre.hjd(first["mjd_int"], first["mjd_frac"])
    return LogRows(ccd, columns, values, exposure_texts(first["exposure"]))


def _header_lines(apertures: Apertures, labels: dict[str, list[str]], header: LogHeader) -> Iterator[str]:
    yield from _OPENING.splitlines()
    yield f"#  {header.version}"
    yield from ("#", "# which was asked for this:", "#")
    width = max(map(len, header.parameters), default=0)
    for name, value in header.parameters.items():
        yield f"# {name:{width}s} = {value}"
    yield from ("#", "# It followed this reduce file, less its comments and what concerns plots alone:", "#")
    yield from _reduce_file_lines(header.reduce_file)
    yield from ("#", "# and began with these apertures, in JSON as aperture files hold them:", "#")
    yield from (f"#   {line}" for line in dumps(apertures).splitlines())
    layout = {ccd: log_dtype(names, header.offset, barycentric=header.barycentre is not None) for ccd, names in labels.items()}
    yield from _COLUMNS.splitlines()
    yield from (f"#    {flag.value:6d}  {flag.name:17s} {text}" for flag, text in DESCRIPTIONS.items())
    yield "#"
    if header.barycentre is not None:
        yield from _BARYCENTRIC.splitlines()
    yield from ("# Start of column name definitions:", "#")
    for ccd, kinds in layout.items():
        yield f"# {ccd} = CCD {' '.join(kinds.names or ())} "
    yield from ("#", "# End of column name definitions", "#", "# Now their types, as numpy calls them.", "#")
    yield from ("# Start of data type definitions:", "#")
    for ccd, kinds in layout.items():
        yield f"# {ccd} = s {' '.join(kinds[name].str.lstrip('<|').replace('b1', '?') for name in kinds.names or ())} "
    yield from ("#", "# End of data type definitions", "#")


def _reduce_file_lines(lines: Sequence[str]) -> Iterator[str]:
    section = ""
    for line in lines:
        text = line.rstrip("\n")
        if text.startswith("#") or not text.strip():
            continue
        if text.startswith("["):
            section = text[1:].split("]", 1)[0]
            if section not in _LEFT_OUT:
                yield "#"
        if section not in _LEFT_OUT:
            yield f"#   {text}"
