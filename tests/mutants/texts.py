"""Text formats: originals, and what a reading of a mutant must give."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from roque.errors import BadInput, NotFound
from roque.instruments.camera import read_camera
from roque.lightcurves import Hlog
from roque.lightcurves.log_reader import read_log
from roque.photometry import apertures, reduce_file
from roque.photometry.recipe import Recipe
from tests.mutants import served

__all__ = ["READERS"]


def _ape(path: Path, data: bytes) -> None:
    found = apertures.read_apertures(path)
    top = json.loads(data)
    own = [(ccd, label, values) for ccd, (_, *members) in top[1:] for label, values in members]
    assert len(own) == sum(map(len, found.values()))
    for ccd, label, values in own:
        aperture = found[str(ccd)][str(label)]
        for name in ("x", "y", "rtarg", "rsky1", "rsky2"):
            assert math.isfinite(getattr(aperture, name))
            assert getattr(aperture, name) == float(values[name])
    assert apertures.loads(apertures.dumps(found)) == found


def _red(path: Path, data: bytes) -> None:
    recipe = Recipe.from_reduce_file(reduce_file.read_reduce_file(path))
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict(), allow_nan=False))) == recipe


def _log(path: Path, data: bytes) -> None:
    _, tables = read_log(path)
    rows = [line.split() for line in data.decode("latin-1").split("\n") if line.strip() and not line.lstrip().startswith("#")]
    for ccd, table in tables.items():
        own = [row[1:] for row in rows if row[0] == ccd]
        assert len(own) == len(table)
        for name, column in zip(table.dtype.names, zip(*own, strict=True), strict=True):
            wanted = np.array([float(word) for word in column])
            np.testing.assert_allclose(table[name].astype(float), wanted.astype(table.dtype[name]).astype(float), rtol=1e-14)


def _camera(path: Path, data: bytes) -> None:
    camera = read_camera(path.read_bytes(), str(path))
    top = tomllib.loads(data.decode())
    assert (camera.name, camera.pixel_scale) == (top["name"], float(top["pixel_scale"]))
    assert all(math.isfinite(value) for d in camera.detectors.values() for value in (d.gain, d.read_noise, d.saturation))


def _hlog(path: Path, data: bytes) -> None:
    log = Hlog.from_fits(path)
    for ccd, table in log.items():
        assert all(len(table[name]) == len(table) for name in table.dtype.names)
        for aperture in log.apnames[ccd]:
            with suppress(BadInput, NotFound):  # the series of a log in memory, which knows no file
                log.tseries(ccd, aperture)


READERS: dict[str, Callable[[Path, bytes], None]] = {"ape": _ape, "red": _red, "log": _log, "camera": _camera, "hlog": _hlog}
READERS |= served.READERS
"""By format: reads a text as its command does, and compares with what Python's own parsers make of its bytes."""
