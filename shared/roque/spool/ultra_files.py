"""The two files of a ULTRACAM or ULTRASPEC run: runNNN.xml says what it is, runNNN.dat holds its frames."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from roque.errors import BadInput, NotFound

__all__ = ["UltraFiles", "is_ultra_name", "same_run", "ultra_files", "xml_beside"]

_RUN = re.compile(r"run\d+\.(xml|dat)(\.gz)?")
_OLD = ".dat.old"
_ENDING = re.compile(r"\.(xml(\.gz)?|dat(\.gz|\.old)?)$")


@dataclass(frozen=True, slots=True)
class UltraFiles:
    """Files of a run, and its path without ending."""

    run: Path
    xml: Path
    dat: Path


def is_ultra_name(name: str) -> bool:
    """Whether a file is taken for a part of such a run: other .xml and .dat files are anything."""
    return _RUN.fullmatch(name) is not None


def same_run(path: str) -> tuple[str, ...]:
    """Give the names that the files of a file's run may have; those of another file are its own."""
    if not is_ultra_name(Path(path).name):
        return (path,)
    run = _ENDING.sub("", path)
    return tuple(f"{run}{ending}{packed}" for ending in (".xml", ".dat") for packed in ("", ".gz"))


def xml_beside(path: str, found: Container[str]) -> str | None:
    """Give the .xml of a .dat among files that were found; None for another file, or one without."""
    if not is_ultra_name(Path(path).name) or ".dat" not in path[-7:]:
        return None
    return next((name for name in same_run(path)[:2] if name in found), None)


def _run_of(path: Path) -> Path:
    """Path of a run, without ending, by one of its files or by itself."""
    return path.with_name(_ENDING.sub("", path.name))


def ultra_files(*paths: Path) -> UltraFiles:
    """Find the files of a run by its path without ending, or by one or more of them.

    Somebody corrected time stamps of zeros in some runs and kept the original as .dat.old: it is taken where it is asked for
    by its name and is there, else the .dat.

    Raises
    ------
    NotFound
        One of them is missing, or both.
    BadInput
        The paths are of more than one run.
    """
    if len({_run_of(path) for path in paths}) > 1:
        raise BadInput(f"files of more than one run: {', '.join(map(str, paths))}", remedy="name a .xml and its .dat")
    run = _run_of(paths[0])
    old, found = [path for path in paths if path.name.endswith(_OLD)], {}
    for ending in ("xml", "dat"):
        plain = run.with_name(f"{run.name}.{ending}")
        packed = plain.with_name(f"{plain.name}.gz")
        asked = old if ending == "dat" else []
        found[ending] = next((p for p in (*asked, plain, packed) if p.is_file()), None)
    if found["xml"] is None or found["dat"] is None:
        missing = " and ".join(f"{run.name}.{ending}" for ending, file in found.items() if file is None)
        here = next((file for file in found.values() if file is not None), run)
        raise NotFound(
            f"a run of ULTRACAM or ULTRASPEC is two files, and there is no {missing}",
            file=str(here),
            place="file name",
            remedy=f"copy {missing} into the same folder",
        )
    return UltraFiles(run, found["xml"], found["dat"])
