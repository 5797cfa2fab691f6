"""A package of somebody else's: a camera that writes text, a line a frame, and what reads it."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from roque.errors import BadInput, NotFound
from roque.frames import CCD, Frame, Geometry, Window
from roque.instruments import Instrument, Reader
from roque.spool import RunInfo
from roque.spool.naming import night_of, run_name
from roque.spool.source import frames_from, rows

TOML = """
name = "{name}"
source = "toy"
pixel_scale = 0.7
seeing = 2.0
[identify]
TOY = "{name}"
[site]
telescope = "toy"
longitude = -17.9
latitude = 28.8
height = 10
[[ccd]]
label = "1"
nxtot = 40
nytot = 30
gain = 2.0
read_noise = 3.0
nonlinear = 4000.0
saturation = 5000.0
"""


class ToyRun:
    """``TOY camera nx ny object`` and then ``mjd exposure count`` lines: each a frame of one count."""

    def __init__(self, path, first, camera, cache=None):
        self.path, self.first, self.camera = Path(path), first, camera
        self.refresh()

    def refresh(self):
        lines = self.path.read_text().splitlines(keepends=True)
        try:
            word, _, nx, ny, self.object = lines[0].split(maxsplit=4)
            self.shape = int(ny), int(nx)
        except (IndexError, ValueError):
            raise BadInput("no header", file=str(self.path), place="line 1", remedy="write it again") from None
        if word != "TOY":
            raise ZeroDivisionError("a mistake of the plug-in's")
        self.frames = [tuple(map(float, line.split())) for line in lines[1:] if line.endswith("\n")]
        return self.available

    @property
    def available(self):
        return len(self.frames)

    @property
    def problems(self):
        return []

    @property
    def info(self):
        night = night_of(self.frames[0][0], self.camera.site.longitude) if self.frames else date(2026, 3, 14)
        geometry = Geometry(1, 1, 1, 1, self.shape[1], self.shape[0])
        return RunInfo(
            instrument=self.camera.name, source="toy", name=run_name(self.path), night=night, kind="science",
            object=self.object.strip(), mode="", xbin=1, ybin=1, speed="", filters={"1": "V"}, nskips={"1": 0}, clear=None,
            windows={"1": {"1": geometry}}, expected=None, exposure=1.0, header={}, camera=self.camera.name,
        )  # fmt: skip

    def frame(self, number):
        if not 1 <= number <= self.available:
            raise NotFound(f"no frame {number}", file=str(self.path))
        mjd, exposure, count = self.frames[number - 1]
        geometry = Geometry(1, 1, 1, 1, self.shape[1], self.shape[0])
        window = Window(geometry, np.full(self.shape, count, np.float32))
        return Frame({"1": CCD({"1": window}, 40, 30, 0, 0, int(mjd), mjd % 1, exposure)}, number, {"NFRAME": number})

    load = frame

    def times(self):
        mjd = np.array([frame[0] for frame in self.frames])
        n = self.available
        return rows(
            n, ("1",), frame=range(1, n + 1), mjd_int=mjd.astype(int), mjd_frac=mjd % 1,
            exposure=[frame[1] for frame in self.frames], time_ok=[True] * n, data_ok=[True] * n,
        )  # fmt: skip

    def close(self):
        pass

    def __iter__(self):
        return frames_from(self, self.first)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def header(path):
    with path.open() as file:
        return {"TOY": file.readline().split()[1]}


READER = Reader("toy", ToyRun, endings=(".toy",), header=header)
INSTRUMENT = Instrument(cameras=(TOML.format(name="toy-a").encode(), TOML.format(name="toy-b").encode()), reader=READER)
CAMERA_ALONE = Instrument(cameras=(TOML.format(name="alone").replace('"toy"', '"hf"', 1).encode(),))
WRONG_TOML = Instrument(cameras=(b"name = 1",))
SAME_SOURCE = Instrument(reader=replace(READER, endings=()))
TAKEN_ENDING = Instrument(reader=Reader("other-toy", ToyRun, endings=(".FITS",)))
NO_INSTRUMENT = "a text"
