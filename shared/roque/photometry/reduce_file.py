"""Reduce files (`.red`): the text in which users of the HiPERCAM pipeline say how a run is reduced."""

from __future__ import annotations

import os
from collections.abc import Mapping

from roque.errors import BadInput
from roque.frames.handle import read_text
from roque.photometry.apertures import Aperture
from roque.photometry.reduce_rules import RULES, check_lines, check_plots
from roque.photometry.reduce_text import ReduceFile, parse

__all__ = ["VERSION", "ReduceFile", "check_plots", "loads", "read_reduce_file"]

VERSION = "20230222"
"""Version of the format."""


def read_reduce_file(path: str | os.PathLike[str], apertures: Mapping[str, Mapping[str, Aperture]] | None = None) -> ReduceFile:
    """Read and check a reduce file.

    Parameters
    ----------
    path : path
        The file.
    apertures : Apertures, optional
        If given, plot lines must name CCDs and apertures that exist, as the HiPERCAM pipeline demands.

    Raises
    ------
    NotFound
        There is no such file.
    BadInput
        It is of another version, a section or key is missing, or a value is not allowed; file, section and line are named.
    """
    return loads(read_text(path, "a reduce file", "give a .red file"), apertures, file=os.fspath(path))


def loads(text: str, apertures: Mapping[str, Mapping[str, Aperture]] | None = None, *, file: str | None = None) -> ReduceFile:
    """Read and check the text of a reduce file, as `read_reduce_file` does."""
    parsed = parse(text, file)
    version = parsed.entry("general", "version")
    if version.text != VERSION:
        raise BadInput(
            f"the file is of version {version.text}, version {VERSION} is wanted",
            file=file,
            place=f"[general] version, line {version.line}",
            remedy="bring it up to date with 'rupdate'",
        )
    for (section, key), rule in RULES.items():
        rule.check(parsed, section, key)
    check_lines(parsed)
    if apertures is not None:
        check_plots(parsed, apertures)
    return parsed
