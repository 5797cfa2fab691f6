"""Whether errors are honest on golden runs, where it is known what was put in: reduced chi-square of counts against truth.

    python benchmarks/accuracy/golden.py [GOLDEN_FOLDER] [--json]

Every run is reduced as one that nobody wrote a recipe for: apertures found automatically, the default recipe, the masters of
its night. In each frame and CCD, the counts of the stars are what was put in times one factor, that of the transmission and of
the light outside the apertures. It is fitted, and what is left of N stars gives N - 1 comparisons with the stated errors. With
n of them in all, chi-square has a sampling error of sqrt(2/n).

Not compared: rows with flags that spoil them, and in runs with cosmic rays frames of a CCD whose chi-square one in a thousand
has by chance: no error can know of a hit; they are counted. The run of crowded, saturated and wandering stars (run0006) is no
measure of errors. Without a bias (run003) photon noise is not known; and a profile fit reaches 15 pixels, where some runs
often have a cosmic ray: nothing is promised there.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # figures.py

from figures import Figure, Load, note, options, show
from scipy.stats import chi2

from roque.calibration.apply import Calibrator, Masters
from roque.frames.hcm import read_hcm
from roque.instruments import load_camera
from roque.lightcurves.ensemble import HARMLESS
from roque.photometry.automatic import automatic_apertures
from roque.photometry.beginning import frames_needed
from roque.photometry.defaults import default_recipe
from roque.photometry.measurements import Measurements
from roque.photometry.reduce import Reducer
from roque.spool import data_source

NEAR = 4.0  # pixels between an aperture and the star that it is
RARE = 1e-3  # by chance
METHODS: dict[str, dict[str, object]] = {
    "default": {},
    "photon noise": {"sky.error": "photon"},
    "optimal": {"extraction.*.method": "optimal"},
    "profile fits": {"psf_photom.use_psf": True},
}
MOST = 3.0  # sampling errors that chi-square may be off


@dataclass(frozen=True)
class Run:
    """A golden run and its masters."""

    name: str
    source: str
    camera: str
    masters: dict[str, str]
    cosmic_rays: bool = False


HIPERCAM = {"bias": "bias.hcm", "dark": "dark.hcm", "flat": "flat.hcm"}
RUNS = (
    Run("hipercam/run0004", "hl", "hipercam", HIPERCAM),
    Run("hipercam/run0005", "hl", "hipercam", HIPERCAM, cosmic_rays=True),
    Run("ultracam/run002", "ul", "ultracam", {"bias": "bias_ucam.hcm"}, cosmic_rays=True),
    Run("ultracam/run003", "ul", "ultracam", {}),
    Run("ultracam/run005", "ul", "ultraspec", {"bias": "bias_uspec.hcm"}),
)

Truth = dict[tuple[int, str], list[tuple[float, float, float]]]
"""By frame and CCD: x, y and counts of each star, in the order of its run."""


def unpacked(golden: Path, folder: Path) -> None:
    """Put raw runs and masters of the HiPERCAM night into a folder, and links to those of ULTRACAM."""
    for packed in [*(golden / "hipercam" / "raw").iterdir(), *(golden / "hipercam" / "peer").glob("*.hcm.gz")]:
        if packed.name.split(".")[0] in {"bias", "dark", "flat", *(run.name.partition("/")[2] for run in RUNS)}:
            with gzip.open(packed) as source, (folder / packed.name.removesuffix(".gz")).open("wb") as target:
                shutil.copyfileobj(source, target)
    for path in (golden / "ultracam").iterdir():
        if path.suffix in {".dat", ".xml", ".hcm"}:
            (folder / path.name).symlink_to(path)


def truth_of(golden: Path, run: Run) -> Truth:
    """What was put into a run."""
    kind, _, name = run.name.partition("/")
    if kind == "hipercam":
        told = json.loads((golden / kind / "truth" / f"{name}.truth.json").read_text())
        return {(values[0], str(values[1])): [(s[0], s[1], s[3]) for s in stars] for values, stars in told["frames"]}
    told = json.loads((golden / kind / f"{name}.truth.json").read_text())
    night = next(entry for entry in json.loads((golden / kind / "night.json").read_text())["runs"] if entry["name"] == name)
    return {
        (frame["frame"], str(ccd + 1)): [
            (star["x"] + offset[0], star["y"] + offset[1], star["flux"][ccd])
            for star, made in zip(frame["stars"], night["stars"], strict=True)
            for offset in [(made.get("offset") or [[0.0, 0.0]] * 3)[ccd]]
        ]
        for frame in told["frames"]
        for ccd in range(len(told["sky"]))
        if frame["stars"] and frame["stars"][0]["flux"][ccd] > 0.0
    }


def reduced(folder: Path, run: Run) -> dict[str, Measurements]:
    """Measurements of a run with apertures and recipe that nobody made, by method of extraction."""
    camera = load_camera(run.camera)
    masters = Masters(**{kind: read_hcm(folder / file) for kind, file in run.masters.items()})
    path = folder / run.name.partition("/")[2]
    with data_source(run.source, path.with_suffix(".fits") if run.source == "hl" else path) as source:
        number = min(frames_needed(source.info.nskips), source.available)
        first = [source.frame(k) for k in range(1, number + 1)]
        levels = {ccd: camera.detector(ccd) for ccd in first[0].ccds}
        usual = camera.detector(camera.reference)
        calibrator = Calibrator(masters, first[0], readout=usual.read_noise, gain=usual.gain)
        found = automatic_apertures(
            first,
            calibrator,
            run=run.name,
            gain={ccd: d.gain for ccd, d in levels.items()},
            saturation={ccd: d.saturation for ccd, d in levels.items()},
        )
        recipe = default_recipe(camera, found, binning=source.info.xbin)
        return {
            name: Reducer(recipe.changed(changes), found.apertures, masters).reduce_range(source)[0]
            for name, changes in METHODS.items()
        }


def compared(rows: Measurements, truth: Truth) -> Iterator[tuple[float, int]]:
    """Chi-square of the counts of each frame and CCD about truth times a common factor, and its degrees of freedom."""
    spoilt = np.uint32(~np.uint32(HARMLESS))
    for (frame, ccd), stars in truth.items():
        known = []
        for row in rows[(rows["frame"] == frame) & (rows["ccd"] == ccd) & (rows["flag"] & spoilt == 0) & (rows["countse"] > 0)]:
            nearest = min(stars, key=lambda star: np.hypot(row["x"] - star[0], row["y"] - star[1]))
            if np.hypot(row["x"] - nearest[0], row["y"] - nearest[1]) < NEAR:
                known.append((row["counts"], row["countse"], nearest[2]))
        if len(known) > 1:
            counts, errors, put = np.array(known).T
            factor = (counts * put / errors**2).sum() / (put**2 / errors**2).sum()
            yield float((((counts - factor * put) / errors) ** 2).sum()), len(known) - 1


def chi_square(rows: Measurements, truth: Truth, *, cosmic_rays: bool) -> tuple[float, int, int]:
    """Chi-square, degrees of freedom, and frames of a CCD that were left out."""
    total, freedom, hit = 0.0, 0, 0
    for chi, number in compared(rows, truth):
        if cosmic_rays and chi2.sf(chi, number) < RARE:
            hit += 1
        else:
            total, freedom = total + chi, freedom + number
    return total, freedom, hit


def main() -> int:
    """Measure and print."""
    parser = options(__doc__ or "")
    parser.add_argument("golden", nargs="?", type=Path, default=Path(__file__).parents[3] / "shared" / "golden")
    given = parser.parse_args()
    figures = []
    with Load() as load, TemporaryDirectory() as scratch:
        unpacked(given.golden, Path(scratch))
        for run in RUNS:
            note(run.name)
            truth = truth_of(given.golden, run)
            for method, rows in reduced(Path(scratch), run).items():
                chi, freedom, hit = chi_square(rows, truth, cosmic_rays=run.cosmic_rays)
                promised = method in {"default", "optimal"} or not (run.cosmic_rays or "bias" not in run.masters)
                most = MOST * float(np.sqrt(2.0 / freedom))
                name = f"{run.name}, {method}: reduced chi-square, {freedom} comparisons"
                good = abs(chi / freedom - 1.0) < most if promised else None
                figures.append(Figure(name, chi / freedom, "", f"1 +- {most:.2f}" if promised else "", good))
                if run.cosmic_rays:
                    figures.append(Figure("    frames and CCDs left out", hit, ""))
    return show("golden runs against truth", figures, load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
