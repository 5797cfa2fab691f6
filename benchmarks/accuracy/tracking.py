"""Whether apertures stay on their stars: fields that wander, vanish behind clouds and jump, followed in parity and by default.

    python benchmarks/accuracy/tracking.py [--fields 4] [--json]

Each field gets the apertures and the recipe that a run without any would get from its first frames; parity is the same recipe
with `parity`. Of all measurements of stars that are well inside the window, in frames with a tenth of the light or more:

- lost: the apertures stayed where they were (LOST by default, no mean FWHM in parity);
- told: more than a pixel off, or on another star, and flagged as such;
- wrong: more than a pixel off, and nothing says so (FIT_FAILED and RECOVERED do not: with these the counts are good).

In the dark: wrong ones of the frames with less light, down to 1 %, in which the brightest stars of a crowded field may still be
seen, and places are as noisy as they are faint. Then the deepest part of a long eclipse: counts and offset of a star that is
not there at all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # figures.py

from figures import Figure, Load, note, options, show

from roque.calibration.apply import Calibrator, Masters
from roque.frames import CCD, Frame, Geometry, Window
from roque.instruments import load_camera
from roque.photometry.automatic import automatic_apertures
from roque.photometry.defaults import default_recipe
from roque.photometry.flags import Flag
from roque.photometry.reduce import Reducer

CAMERA = load_camera("hipercam")
GEOMETRY = Geometry(1, 1, 1, 1, 320, 260)
FWHM, SKY, NOISE, GAIN = 4.5, 60.0, 4.0, 1.1
FIRST = 16  # quiet frames, for the apertures
CROWDING = {"2 stars": 2, "6 stars": 6, "25 stars": 25, "120 stars": 120}
EXCUSED = ~(Flag.SKY_AT_EDGE | Flag.RECOVERED | Flag.FIT_FAILED | Flag.TARGET_NONLINEAR | Flag.TARGET_SATURATED)
RNG = np.random.Generator


@dataclass
class Story:
    """What happens to a field: shift and transmission of each frame, and stars that lose their light."""

    shifts: np.ndarray
    light: np.ndarray
    dying: dict[int, np.ndarray] = field(default_factory=dict)


def wander(rng: RNG, number: int) -> np.ndarray:
    """Field that is guided: rms 0.5 pixels in each coordinate, and a slow drift."""
    shifts = rng.normal(0.0, 0.5, (number, 2)) + np.cumsum(rng.normal(0.0, 0.15, (number, 2)), axis=0)
    shifts[0] = 0.0
    return shifts


def wandering(rng: RNG) -> Story:
    return Story(wander(rng, 80), np.ones(80))


def clouds(rng: RNG) -> Story:
    """Three clouds, down to 1 % of the light; behind them the telescope drifts off by up to 36 pixels."""
    shifts, light = wander(rng, 100), np.ones(100)
    for begin in (20, 45, 70):
        ramp = int(rng.integers(1, 5))
        deep = np.geomspace(1.0, 0.01, ramp + 1)[1:]
        light[begin - ramp : begin], light[begin : begin + 12] = deep, 0.01
        light[begin + 12 : begin + 12 + ramp] = deep[::-1]
        angle, rate = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.5, 3.0)
        drift = rate * np.clip(np.arange(100) - begin, 0, 12)
        shifts += drift[:, None] * [np.cos(angle), np.sin(angle)]
    return Story(shifts, light)


def jumps(rng: RNG) -> Story:
    """From one frame to the next, and back some frames later."""
    shifts = wander(rng, 120)
    for k, length in enumerate((5.0, 8.0, 12.0, 20.0, 30.0, 45.0, 60.0)):
        angle = rng.uniform(0.0, 2.0 * np.pi)
        shifts[18 + 14 * k : 26 + 14 * k] += length * np.array([np.cos(angle), np.sin(angle)])
    return Story(shifts, np.ones(120))


def leaving(rng: RNG) -> Story:
    """A steady drift of 130 pixels: stars leave the window, others come in."""
    shifts = wander(rng, 120)
    shifts[FIRST:, 0] -= 1.3 * np.arange(120 - FIRST)
    return Story(shifts, np.ones(120))


def dying(rng: RNG) -> Story:
    """The brightest star vanishes for good."""
    return Story(wander(rng, 80), np.ones(80), {0: np.where(np.arange(80) < 30, 1.0, 0.0)})


def eclipse(rng: RNG) -> Story:
    """The faintest measured star vanishes for 400 frames."""
    return Story(wander(rng, 460), np.ones(460), {-1: np.where((np.arange(460) < 30) | (np.arange(460) > 440), 1.0, 0.0)})


STORIES: dict[str, Callable[[RNG], Story]] = {
    "wandering": wandering, "clouds": clouds, "jumps": jumps, "leaving": leaving, "reference dies": dying,
}  # fmt: skip


def place_stars(rng: RNG, number: int) -> np.ndarray:
    """x, y, counts of each star, brightest first; some lie outside the window and come in with a drift, but two well inside."""
    margin = 150.0
    most = int(number * (1.0 + 2.0 * margin / GEOMETRY.nx) * (1.0 + 2.0 * margin / GEOMETRY.ny)) if number > 2 else number
    low, high = (-margin, margin) if number > 2 else (60.0, -60.0)
    counts = np.sort(10.0 ** rng.uniform(3.5, 5.3, most))[::-1]
    while True:
        stars: list[tuple[float, float]] = []
        while len(stars) < most:
            x, y = rng.uniform(low, GEOMETRY.nx + high), rng.uniform(low, GEOMETRY.ny + high)
            if all(np.hypot(x - a, y - b) > 2.5 * FWHM for a, b in stars):
                stars.append((x, y))
        if sum(30.0 < x < GEOMETRY.nx - 30.0 and 30.0 < y < GEOMETRY.ny - 30.0 for x, y in stars) > 1:
            return np.column_stack([np.array(stars), counts])


def frames(rng: RNG, stars: np.ndarray, story: Story) -> Iterator[Frame]:
    x, y = 1.0 + np.arange(GEOMETRY.nx), 1.0 + np.arange(GEOMETRY.ny)
    a, beta = 4.0 * (2.0 ** (1.0 / 3.0) - 1.0) / FWHM**2, 3.0
    for n, ((dx, dy), light) in enumerate(zip(story.shifts, story.light, strict=True)):
        image = np.full((GEOMETRY.ny, GEOMETRY.nx), SKY)
        for k, (x0, y0, counts) in enumerate(stars):
            own = story.dying.get(k, story.dying.get(k - len(stars)))
            flux = counts * light * (1.0 if own is None else own[n])
            rows, columns = np.abs(y - y0 - dy) < 25.0, np.abs(x - x0 - dx) < 25.0
            if flux > 0.0 and rows.any() and columns.any():
                r2 = (y[rows, None] - y0 - dy) ** 2 + (x[None, columns] - x0 - dx) ** 2
                image[np.ix_(rows, columns)] += flux * (beta - 1.0) * a / np.pi * (1.0 + a * r2) ** -beta
        noise = np.sqrt(image / GAIN + NOISE**2) * rng.standard_normal(image.shape)
        window = Window(GEOMETRY, (image + noise).astype(np.float32))
        yield Frame({"1": CCD({"A": window}, 340, 280, mjd_int=61000, mjd_frac=0.2 + n / 1e5, exposure=1.0)}, n + 1)


def reduce_both(rng: RNG, stars: np.ndarray, story: Story, *, target: int | None = None) -> dict[str, np.ndarray]:
    """Rows of a field by the recipe that it gets by itself, and in parity."""
    run = list(frames(rng, stars, story))
    calibrator = Calibrator(Masters(), run[0], readout=NOISE, gain=GAIN)
    place = None if target is None else (float(stars[target, 0]), float(stars[target, 1]))
    found = automatic_apertures(run[:FIRST], calibrator, run="simulated", gain={"1": GAIN}, saturation={"1": 1e6}, target=place)
    recipe = default_recipe(CAMERA, found, binning=1)
    recipe = recipe.changed({"detectors.1.readout": NOISE, "detectors.1.gain": GAIN})
    changed = {"default": recipe, "parity": recipe.changed({"parity": True})}
    return {name: Reducer(r, found.apertures, Masters()).reduce_range(run)[0] for name, r in changed.items()}


def judge(rows: np.ndarray, stars: np.ndarray, story: Story, *, parity: bool) -> np.ndarray:
    """Numbers of measurements: that count, lost, told to be bad, wrong and not told; those in the dark, wrong ones of them."""
    numbers = np.zeros(6)
    first = rows[rows["frame"] == 1]
    for label in first["aperture"]:
        mine = rows[rows["aperture"] == label]
        start = mine[0]
        star = int(np.argmin(np.hypot(stars[:, 0] - start["x"], stars[:, 1] - start["y"])))
        if np.hypot(stars[star, 0] - start["x"], stars[star, 1] - start["y"]) > 1.0:
            continue
        at = mine["frame"] - 1
        x, y = stars[star, 0] + story.shifts[at, 0], stars[star, 1] + story.shifts[at, 1]
        margin = 3.0 * FWHM
        inside = (x > margin) & (x < GEOMETRY.nx - margin) & (y > margin) & (y < GEOMETRY.ny - margin)
        bright = inside & (story.light[at] >= 0.1)
        dark = inside & ~bright
        off = np.hypot(mine["x"] - x, mine["y"] - y) > 1.0
        lost = np.isnan(mine["mfwhm"]) if parity else mine["flag"] & np.uint32(Flag.LOST) != 0
        told = mine["flag"] & np.uint32(int(EXCUSED) & 0xFFFFFFFF) != 0
        wrong = off & ~told
        parts = bright, bright & lost, bright & off & told & ~lost, bright & wrong, dark, dark & wrong
        numbers += [part.sum() for part in parts]
    return numbers


def eclipses(fields: int) -> dict[str, tuple[float, float, float]]:
    """Share of the flux that is left of a star that has none, rms offset, and scatter of its counts in units of the errors."""
    found: dict[str, list[tuple[float, float, float]]] = {"default": [], "parity": []}
    for seed in range(fields):
        rng = np.random.default_rng([9, seed])
        stars, story = place_stars(rng, 6), eclipse(rng)
        inside = np.flatnonzero((np.abs(stars[:, 0] - 160.0) < 110.0) & (np.abs(stars[:, 1] - 130.0) < 90.0))
        # without neighbours, whose light in the annulus of the sky would be missing from the star
        apart = np.hypot(*(stars[:, :2] - stars[inside[-1], :2]).T)
        target = int((apart[: inside[-1]] > 45.0).sum())
        stars = stars[(apart == 0.0) | (apart > 45.0)]
        stars[target, 2] = 8000.0
        story.dying = {target: story.dying[-1]}
        for name, rows in reduce_both(rng, stars, story, target=target).items():
            first = rows[rows["frame"] == 1]
            label = first["aperture"][np.argmin(np.hypot(first["x"] - stars[target, 0], first["y"] - stars[target, 1]))]
            mine = rows[rows["aperture"] == label]
            deep = mine[(mine["frame"] > 40) & (mine["frame"] < 435)]
            x, y = (stars[target, :2] + story.shifts[deep["frame"] - 1]).T
            off = np.hypot(deep["x"] - x, deep["y"] - y)
            pull = deep["counts"] / deep["countse"]
            found[name].append((float(deep["counts"].mean() / 8000.0), float(np.sqrt((off**2).mean())), float(pull.std())))
        note(f"eclipse, field {seed + 1} of {fields}")
    return {name: tuple(np.mean(values, axis=0)) for name, values in found.items()}


def shares(name: str, numbers: np.ndarray, *, parity: bool) -> list[Figure]:
    """Lines of the table from what `judge` counted."""
    bright, lost, told, wrong, dark, dark_wrong = numbers
    figures = [Figure(f"{name}: lost", 100.0 * lost / bright, "%")]
    if told:
        figures.append(Figure(f"{name}: told", 100.0 * told / bright, "%"))
    good = None if parity else wrong == 0
    figures.append(Figure(f"{name}: wrong", 100.0 * wrong / bright, "%", "" if parity else "0", good))
    if dark:
        figures.append(Figure(f"{name}: wrong in the dark", 100.0 * dark_wrong / dark, "%"))
    return figures


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--fields", type=int, default=4, help="fields of each kind (default 4)")
    given = parser.parse_args()
    figures = []
    with Load() as load:
        for s, (story_name, tell) in enumerate(STORIES.items()):
            for c, (crowding, number) in enumerate(CROWDING.items()):
                totals = {"default": np.zeros(6), "parity": np.zeros(6)}
                for seed in range(given.fields):
                    rng = np.random.default_rng([s, c, seed])
                    stars, story = place_stars(rng, number), tell(rng)
                    for name, rows in reduce_both(rng, stars, story).items():
                        totals[name] += judge(rows, stars, story, parity=name == "parity")
                note(f"{story_name}, {crowding}")
                for name, total in totals.items():
                    figures += shares(f"{story_name}, {crowding}, {name}", total, parity=name == "parity")
        for name, (flux, off, scatter) in eclipses(given.fields).items():
            figures.append(Figure(f"deep eclipse, {name}: flux that is left", 100.0 * flux, "%"))
            figures.append(Figure(f"deep eclipse, {name}: rms offset", off, "pixels"))
            figures.append(Figure(f"deep eclipse, {name}: scatter over stated errors", scatter))
    return show("apertures that stay on their stars", figures, load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
