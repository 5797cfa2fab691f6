"""A mutant opened as a user opens a file, and what is to be said of the answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from roque.errors import BadInput, NotFound
from roque.instruments import cameras
from roque.spool import data_source, inspect
from tests.mutants.honest_fits import Refused, Unknown
from tests.mutants.originals import FORMATS, Files, Original
from tests.mutants.texts import READERS

__all__ = ["Wrong", "judge", "judge_file", "mutant"]

KNOWN = cameras()
NO_FILE = ("not a file", "the file may not be read", "the file cannot be opened")
"""What is said of something that has no places in it."""


class Wrong(Exception):
    """What roque made of a mutant is not what it should be."""


def mutant(name: str, seed: int, number: int) -> tuple[Original, Files]:
    """Make a mutant of a format, the same for the same seed and number."""
    originals = FORMATS[name].originals()
    rng = np.random.default_rng([seed, number, *name.encode()])
    original = originals[number % len(originals)]
    victims = sorted(original.damages)
    victim = victims[int(rng.integers(len(victims)))]
    return original, original.files | {victim: original.damages[victim](original.files[victim], rng)}


def judge(name: str, original: Original, files: Files, folder: Path) -> str:
    """Open a mutant; the kind of answer, in a word.

    Raises
    ------
    Wrong
        The answer is not what it should be. Anything else that is raised is an error without a type.
    """
    try:
        if FORMATS[name].kind != "run":
            READERS[FORMATS[name].kind](folder / original.path, files[original.path])
            return "read"
        frames, problems = use(folder / original.path, folder)
    except (BadInput, NotFound) as error:
        check_error(error, folder)
        return error.code
    for problem in problems:
        check_error(problem, folder)
    try:
        wanted, odd_size = original.frames(files)
    except Refused as reason:
        if problems:
            return "read, with problems"
        raise Wrong(f"opened without a problem, although: {reason}") from None
    except Unknown:
        return "read, nothing to compare with"
    if odd_size and not problems:
        raise Wrong("opened without a problem, although its size is not that of its frames")
    compare(frames, wanted)
    return "read, with problems" if problems else "read"


def judge_file(path: Path, cache: Path) -> str:
    """Open a file of any format; the kind of answer."""
    kind = path.suffix.removeprefix(".")
    try:
        if kind in READERS:
            READERS[kind](path, b"")
            return "read"
        frames, problems = use(path, cache)
    except (BadInput, NotFound) as error:
        check_error(error, path.parent)
        return error.code
    for problem in problems:
        check_error(problem, path.parent)
    return f"read: {len(frames)} frames{', with problems' if problems else ''}"


def use(path: Path, cache: Path) -> tuple[list[dict[tuple[str, str], Any]], list[BadInput]]:
    """Do all that registration and reduction do with a run: all its frames, and its problems."""
    found = inspect(path, KNOWN, cache / "cache")
    resource = list(found.files or found.members) or [path]
    with data_source(found.source, resource, camera=KNOWN[found.camera], cache=cache / "cache") as source:
        info, times, problems = source.info, source.times(), source.problems
        if not info.name or len(times) != source.available * len(info.windows):
            raise Wrong(f"{len(times)} times of {source.available} frames")
        if not (np.isfinite(times["mjd_frac"]) & np.isfinite(times["exposure"]))[times["time_ok"]].all():
            raise Wrong("a time is called good that is none")
        frames = []
        for number in range(1, source.available + 1):
            lazy, loaded = (dict(windows(read(number))) for read in (source.frame, source.load))
            compare([lazy], [loaded])
            frames.append(lazy)
    return frames, problems


def windows(frame: Any) -> Iterator[tuple[tuple[str, str], Any]]:
    for ccd, own in frame.ccds.items():
        for label, window in own.windows.items():
            g = window.geometry
            yield (ccd, label), (g.llx, g.lly, g.xbin, g.ybin, window.data)


def compare(frames: list[dict[tuple[str, str], Any]], wanted: list[dict[tuple[str, str], Any]]) -> None:
    """Compare windows of frames; those that are not wanted are scans, which are compared elsewhere."""
    if len(frames) != len(wanted):
        raise Wrong(f"{len(frames)} frames, not {len(wanted)}")
    for number, (found, expected) in enumerate(zip(frames, wanted, strict=True), start=1):
        if not expected.keys() <= found.keys():
            raise Wrong(f"windows {sorted(found)} of frame {number}, not {sorted(expected)}")
        for key, (*place, counts) in expected.items():
            *where, pixels = found[key]
            if any(own is not None and own != there for own, there in zip(place, where, strict=True)):
                raise Wrong(f"frame {number}, window {key} lies at {where}, not {place}")
            if not np.array_equal(pixels, counts.astype(pixels.dtype), equal_nan=True):
                raise Wrong(f"frame {number}, window {key} has other counts")


def check_error(error: BadInput | NotFound, folder: Path) -> None:
    """An error names file, place and remedy, and says what is wrong in a sentence of some length."""
    parts = {"message": error.message, "file": error.file, "place": error.place, "remedy": error.remedy}
    missing = [name for name, part in parts.items() if not part]
    if error.message.startswith(NO_FILE):
        missing = [name for name in missing if name != "place"]
    if missing and isinstance(error, BadInput) and error.code != "blemish":
        raise Wrong(f"no {' and no '.join(missing)} in: {error}")
    if error.file and not error.file.startswith(str(folder)):
        raise Wrong(f"another file is named: {error}")
    if len(str(error)) > 1500 or not str(error).isprintable():
        raise Wrong(f"an error of {len(str(error))} characters, or with ones that cannot be printed: {str(error)[:200]!r}")
