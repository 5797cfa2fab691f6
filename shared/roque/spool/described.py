"""Runs of plain FITS images, one file per exposure, whose headers are read by the description of their camera."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from roque.errors import BadInput, Blemish
from roque.frames import CCD, Box, Frame, Window
from roque.frames.frame import Header
from roque.frames.images import FitsFile, Hdu
from roque.instruments import CameraDescription, HeaderRules
from roque.instruments.description import Detector
from roque.spool.amplifiers import amplifier_boxes
from roque.spool.exposure import Exposure, describe_all, rules_of
from roque.spool.image_headers import merged_header, readable
from roque.spool.source import RunInfo, Times, frames_from, no_frame, rows, shortened
from roque.spool.ultra_stamps import NO_TIME
from roque.spool.unpack import unpack

__all__ = ["FitsSeries"]

_FLAGGED = "its time is flagged as bad; correct the header if the time is known"


class FitsSeries:
    """A run of plain FITS images; a `FrameSource`. Frames are ordered by time; one without comes after that before it by name.

    Parameters
    ----------
    paths : sequence of paths
        The files; .gz and .fz too.
    first : int
        Place of the first frame that iteration gives, from 1.
    camera : CameraDescription
        How headers are read.
    cache : Path or None
        Folder for unpacked files; None: one of its own, removed when the source is closed.

    Raises
    ------
    BadInput
        A file cannot be read, lacks a keyword, or does not belong to the run of the first.
    NotFound
        A file does not exist.
    """

    def __init__(
        self, paths: Sequence[str | os.PathLike[str]], first: int, camera: CameraDescription, cache: Path | None = None
    ) -> None:
        if not paths:
            raise BadInput("a run of no files", remedy="name at least one")
        self._own = tempfile.TemporaryDirectory(prefix="roque-") if cache is None else None
        self._cache = Path(self._own.name) if self._own else cache or Path()
        self._first = first
        self._camera = camera
        try:
            hdu = rules_of(camera).hdu
            read = [(*merged_header(Path(path), self._cache, hdu), Path(path)) for path in paths]
            self._exposures = sorted(describe_all(read, camera), key=lambda e: (e.mjd_int, e.mjd_frac, e.path.name))
            for exposure in self._exposures:
                _check_member(exposure, self._exposures[0])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return frames_from(self, self._first)

    def close(self) -> None:
        """Remove unpacked files, if they are the source's own."""
        if self._own is not None:
            self._own.cleanup()

    @property
    def available(self) -> int:
        """Frames."""
        return len(self._exposures)

    @property
    def paths(self) -> list[Path]:
        """Files in the order of the frames."""
        return [exposure.path for exposure in self._exposures]

    @property
    def problems(self) -> list[BadInput]:
        """Times and headers not to be trusted, and frames exposed at the same time: copies of one another, most likely."""
        timed = [e for e in self._exposures if e.time_fault is None]
        altered: list[BadInput] = []
        for e in self._exposures:
            with FitsFile(readable(e.path, self._cache), str(e.path)) as file:
                altered += file.altered()
        faults = [
            Blemish(
                f"frame {n} has no time: {e.time_fault.message}", file=str(e.path), place=e.time_fault.place, remedy=_FLAGGED
            )
            for n, e in enumerate(self._exposures, start=1)
            if e.time_fault is not None
        ]
        copies = [
            Blemish(f"the same time as {a.path.name}", file=str(b.path), remedy="remove one of them if it is a copy")
            for a, b in pairwise(timed)
            if (a.mjd_int, a.mjd_frac) == (b.mjd_int, b.mjd_frac)
        ]
        return shortened([*faults, *altered, *copies], str(self._exposures[0].path.parent))

    @property
    def info(self) -> RunInfo:
        """What the run is; its header is that of the first frame."""
        e, label = self._exposures[0], self._camera.reference
        return RunInfo(
            instrument=self._camera.name,
            source="fits",
            name=e.run_name,
            night=e.night,
            kind=e.kind,
            object=e.object,
            mode=e.mode,
            xbin=e.geometry.xbin,
            ybin=e.geometry.ybin,
            speed=e.speed,
            filters={label: e.filter},
            nskips={label: 0},
            clear=None,
            windows={label: {name: e.geometry.cut(box) for name, box in self._boxes(e).items()}},
            expected=None,
            exposure=e.exposure,
            header=e.header,
            camera=self._camera.name,
        )

    def refresh(self) -> int:
        """Give `available`: a list of files does not grow."""
        return self.available

    def frame(self, number: int) -> Frame:
        """Frame at a place in the run.

        Raises
        ------
        NotFound
            There is no such frame.
        BadInput
            Its pixels cannot be read.
        """
        if not 1 <= number <= self.available:
            raise no_frame(number, self.available, str(self._exposures[0].path.parent))
        e, rules = self._exposures[number - 1], rules_of(self._camera)
        with FitsFile(unpack(e.path, self._cache), str(e.path)) as file:
            pixels = file.image(_image_hdu(file, rules))
        if pixels.shape != (e.geometry.ny, e.geometry.nx):
            raise BadInput("the image changed while the run was read", file=str(e.path), remedy="register the run anew")
        header = {k: e.header[k] for k in e.header} | _pointing(e.header, rules) | {"NFRAME": number}
        header |= {} if e.time_fault is None else {"GOODTIME": False}
        detector = self._camera.detectors[self._camera.reference]
        mjd_int, mjd_frac = self._time(number)
        ccd = CCD(
            {name: Window(e.geometry.cut(box), pixels[box.slices]) for name, box in self._boxes(e).items()},
            e.nxtot,
            e.nytot,
            detector.nxpad,
            detector.nypad,
            mjd_int,
            mjd_frac,
            e.exposure,
            time_ok=e.time_fault is None,
            header=_ccd_header(e.header, rules, detector),
        )
        return Frame({detector.label: ccd}, number, header)

    def _boxes(self, e: Exposure) -> dict[str, Box]:
        """Windows of an image."""
        return amplifier_boxes(e.header, e.geometry, self._camera.detectors[self._camera.reference], str(e.path))

    def load(self, number: int) -> Frame:
        """Frame at a place in the run: `frame` reads all pixels as it is."""
        return self.frame(number)

    def times(self) -> Times:
        """Mid-times and exposures of all frames."""
        n = len(self._exposures)
        times = [self._time(number) for number in range(1, n + 1)]
        return rows(
            n,
            (self._camera.reference,),
            frame=range(1, n + 1),
            mjd_int=[day for day, _ in times],
            mjd_frac=[fraction for _, fraction in times],
            exposure=[e.exposure for e in self._exposures],
            time_ok=[e.time_fault is None for e in self._exposures],
            data_ok=[True] * n,
        )

    def _time(self, number: int) -> tuple[int, float]:
        """Mid-exposure of a frame; one without a time has that of HiPERCAM's frames without: a second each from 2000 on."""
        e = self._exposures[number - 1]
        return (e.mjd_int, e.mjd_frac) if e.time_fault is None else (NO_TIME, number / 86400.0)


def _check_member(exposure: Exposure, first: Exposure) -> None:
    if exposure.group != first.group or exposure.geometry != first.geometry:
        raise BadInput(
            f"it does not belong to the run of {first.path.name}: {' '.join(exposure.group)}, not {' '.join(first.group)}",
            file=str(exposure.path),
            remedy="reduce it as a run of its own",
        )


def _image_hdu(file: FitsFile, rules: HeaderRules) -> Hdu:
    for hdu in file.hdus():
        if len(hdu.shape) == 2 and "TFIELDS" not in hdu.header and rules.hdu in {None, hdu.index}:
            return hdu
    raise BadInput("no image in the file", file=file.name, place="HDU 0", remedy="copy it again from where it came")


def _pointing(header: Header, rules: HeaderRules) -> Header:
    """RADEG and DECDEG, as HiPERCAM has them, where the header points somewhere."""
    ra, dec = rules.ra.number(header), rules.dec.number(header)
    return {} if ra is None or dec is None else {"RADEG": ra, "DECDEG": dec}


def _ccd_header(header: Header, rules: HeaderRules, detector: Detector) -> Header:
    """Gain, read noise and saturation of this frame."""
    found = {
        "GAIN": rules.gain.number(header),
        "RONOISE": rules.read_noise.number(header),
        "SATURATE": rules.saturation.number(header),
    }
    constant = {"GAIN": detector.gain, "RONOISE": detector.read_noise, "SATURATE": detector.saturation}
    return {k: constant[k] if v is None else v for k, v in found.items()}
