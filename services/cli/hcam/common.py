"""Parameters that several commands have."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from services.cli.hcam.parameters import FLAG, NUMBER, TEXT, WHOLE, Parameter, Values, in_file, out_file

__all__ = [
    "CALIBRATION", "CLOBBER", "FRINGES", "RUN_SOURCE", "SOURCE", "TRIM", "ccd_choice", "first", "from_list", "from_run", "last",
    "named_like_input", "output", "run_or_list",
]  # fmt: skip

RUN_SOURCES = ("hl", "hs", "ul", "us")

SOURCE = Parameter(
    "source", TEXT, lambda _: os.environ.get("HIPERCAM_DEFAULT_SOURCE", "hl"),
    "hl hs: HiPERCAM local, server; ul us: ULTRACAM or ULTRASPEC; hf: list of hcm files", hidden=True,
)  # fmt: skip
RUN_SOURCE = Parameter(
    "source", TEXT, "hl", "hl hs: HiPERCAM local, server; ul us: ULTRACAM or ULTRASPEC", hidden=True, choices=RUN_SOURCES
)


def from_list(values: Values) -> bool:
    """Whether frames come from a list of files."""
    return values["source"] == "hf"


def from_run(values: Values) -> bool:
    """Whether frames come from a run."""
    return not from_list(values)


RUN = Parameter("run", TEXT, "run005", "name of the run", when=from_run)
_TWAIT = Parameter("twait", NUMBER, 1.0, "seconds between looks for a new frame", hidden=True, least=0.0, when=from_run)
_TMAX = Parameter("tmax", NUMBER, 10.0, "seconds to wait in all before giving up", hidden=True, least=0.0, when=from_run)
FLIST = Parameter("flist", in_file(".lis"), "files.lis", "list of hcm files", when=from_list)


def first(least: int | None = None) -> Parameter:
    """First frame."""
    meaning = "first frame; 0 the newest, where allowed" + ("; of a server -k that many before it" if least is None else "")
    return Parameter("first", WHOLE, 1, meaning, least=least, when=from_run)


def last(default: Any = 0, *, hidden: bool = False) -> Parameter:
    """Last frame."""
    return Parameter("last", WHOLE, default, "last frame; 0 to the end", hidden=hidden, least=0, when=from_run)


def run_or_list(*numbers: Parameter, source: Parameter = SOURCE) -> tuple[Parameter, ...]:
    """Where frames come from, with the parameters that say which."""
    lists = (FLIST,) if source is SOURCE else ()
    runs = (RUN, *numbers, _TWAIT, _TMAX)
    return source, *(runs if lists else (replace(p, when=None) for p in runs)), *lists


TRIM = (
    Parameter("trim", FLAG, True, "cut window edges next to the read-out"),
    Parameter("ncol", WHOLE, 0, "columns to cut, binned", hidden=True, least=0, when=lambda v: v["trim"]),
    Parameter("nrow", WHOLE, 0, "rows to cut, binned", hidden=True, least=0, when=lambda v: v["trim"]),
)

CALIBRATION = {
    "bias": Parameter("bias", in_file(".hcm", none=True), "bias", "bias frame, or none"),
    "dark": Parameter("dark", in_file(".hcm", none=True), "dark", "dark frame, or none"),
    "flat": Parameter("flat", in_file(".hcm", none=True), "flat", "flat field, or none"),
}

_WITH_MAP: Callable[[Values], bool] = lambda v: v["fmap"] is not None  # noqa: E731

FRINGES = (
    Parameter("fmap", in_file(".hcm", none=True), "fmap", "fringe map, or none"),
    Parameter("fpair", in_file(".frng"), "fringe", "fringe pairs", when=_WITH_MAP),
    Parameter("nhalf", WHOLE, 2, "half size of fringe boxes, binned pixels", hidden=True, least=0, when=_WITH_MAP),
    Parameter("rmin", NUMBER, -0.2, "least ratio of a pair; without effect, as ever", hidden=True, when=_WITH_MAP),
    Parameter("rmax", NUMBER, 1.0, "largest ratio of a pair; without effect, as ever", hidden=True, when=_WITH_MAP),
)

CLOBBER = Parameter("clobber", FLAG, False, "replace a file that is there", hidden=True)


def ccd_choice(default: str = "0") -> Parameter:
    """Which CCDs."""
    return Parameter("ccd", TEXT, default, f"labels of CCDs, separated by blanks; {default} all")


def output(default: Any = "hcam") -> Parameter:
    """A frame to write."""
    return Parameter("output", out_file(".hcm"), default, "file to write")


def named_like_input(values: Values) -> str:
    """Name a product like the run or list that it is made from."""
    name: str = values["flist"].stem if from_list(values) else os.path.basename(values["run"])  # noqa: PTH119 - a text
    return name.removesuffix(".fits")
