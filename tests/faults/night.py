"""A small night of real work: masters, whole runs, one that grows while the system is at it, and a file that is none."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from roque.simulation.night import CALIBRATION_WINDOWS, COMPARISONS, SCIENCE_WINDOWS, TARGET
from roque.simulation.plan import Detector, RunPlan
from roque.simulation.run import simulate_run

__all__ = ["GROWING", "NIGHT", "Camera", "write_night"]

NIGHT = "2026-03-14"
GROWING = "run0005.fits"
"""The run that the camera still writes when things go wrong."""

_MIDNIGHT = datetime(2026, 3, 15, tzinfo=UTC)
_PIECE = 60_000  # bytes that the camera writes at a time: a part of a frame, or some


def write_night(folder: Path, seed: int, *, frames: int = 72) -> Path:
    """Write the night as it is when it has ended; the same seed gives the same bytes."""
    detector = Detector(seed=seed)
    bias = RunPlan(
        detector=detector,
        seed=10 * seed,
        windows=CALIBRATION_WINDOWS,
        frames=12,
        start=_MIDNIGHT - timedelta(hours=5),
        exposure=0.001,
        read_out=0.18,
        clear=True,
        object_name="Bias",
        image_type="bias",
    )
    flat = replace(
        bias,
        seed=10 * seed + 1,
        start=_MIDNIGHT - timedelta(hours=4),
        exposure=0.4,
        object_name="Twilight flat",
        image_type="flat",
        twilight=(30000.0, 30000.0, 30000.0, 24000.0, 24000.0),
        twilight_decay=60.0,
    )
    star = RunPlan(
        detector=detector,
        seed=10 * seed + 2,
        windows=SCIENCE_WINDOWS,
        frames=frames,
        start=_MIDNIGHT,
        exposure=1.0,
        object_name="Simulated standard",
        stars=(TARGET, *COMPARISONS),
        sky=(4.0, 12.0, 16.0, 18.0, 22.0),
        fwhm=4.4,
        fwhm_rms=0.2,
        jitter=0.3,
        scintillation=0.003,
    )
    plans = [bias, flat] + [replace(star, seed=10 * seed + 2 + k, start=_MIDNIGHT + timedelta(minutes=5 * k)) for k in range(3)]
    night = folder / NIGHT
    night.mkdir(parents=True)
    for number, plan in enumerate(plans, 1):
        simulate_run(night / f"run{number:04d}.fits", plan)
    (night / "run0006.fits").write_text("The disk of the camera was full when this file should have been written.\n" * 40)
    return night


class Camera:
    """Brings a night to an incoming folder while the body of the ``with`` runs: its last run piece by piece.

    Parameters
    ----------
    night : Path
        The night as it is in the end.
    incoming : Path
        Folder that is watched.
    seconds : float
        How long the last run takes to write.
    """

    def __init__(self, night: Path, incoming: Path, seconds: float = 8.0) -> None:
        self._night, self._incoming, self._seconds = night, incoming / night.name, seconds
        self._thread = threading.Thread(target=self._write, name="camera", daemon=True)
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        self._incoming.mkdir(parents=True)
        for path in sorted(self._night.iterdir()):
            if path.name != GROWING:
                shutil.copy2(path, self._incoming)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def writes(self) -> bool:
        """Whether there is more to come."""
        return self._thread.is_alive()

    def _write(self) -> None:
        data = (self._night / GROWING).read_bytes()
        pause = self._seconds * _PIECE / len(data)
        with (self._incoming / GROWING).open("wb", buffering=0) as file:
            for start in range(0, len(data), _PIECE):
                os.write(file.fileno(), data[start : start + _PIECE])
                if self._stop.wait(pause):
                    return
