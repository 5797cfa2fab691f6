"""What values are allowed in a reduce file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from roque.errors import BadInput
from roque.photometry.apertures import Aperture
from roque.photometry.flags import Flag
from roque.photometry.reduce_text import Entry, ReduceFile, finite

__all__ = ["PLOTS", "RULES", "Rule", "check_lines", "check_plots"]

PLOTS = ("light", "position", "transmission", "seeing")
"""Sections with plot lines."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must be.

    Parameters
    ----------
    kind : str
        'text', 'number', 'integer' or 'flag'.
    above, least, most : float, optional
        Limits, the first one exclusive.
    words : tuple of str
        The only texts allowed.
    where : callable, optional
        Whether the rule applies to a file.
    """

    kind: str
    above: float | None = None
    least: float | None = None
    most: float | None = None
    words: tuple[str, ...] = ()
    where: Callable[[ReduceFile], bool] | None = None

    def check(self, file: ReduceFile, section: str, key: str) -> None:
        """Raise `BadInput` if the value of a key is missing or not allowed."""
        if self.where is not None and not self.where(file):
            return
        if self.kind == "text":
            text = file.text(section, key)
            if self.words and text not in self.words:
                raise file.wrong(section, key, file.entry(section, key), f"{' or '.join(self.words)} was expected")
            return
        if self.kind == "flag":
            file.flag(section, key)
            return
        value = file.integer(section, key) if self.kind == "integer" else file.number(section, key)
        wanted = [
            words
            for limit, kept, words in (
                (self.above, self.above is None or value > self.above, "above"),
                (self.least, self.least is None or value >= self.least, "at least"),
                (self.most, self.most is None or value <= self.most, "at most"),
            )
            if not kept
            for words in [f"a number {words} {limit:g} was expected"]
        ]
        if wanted:
            raise file.wrong(section, key, file.entry(section, key), wanted[0])


def _in(section: str, rules: Mapping[str, Rule]) -> dict[tuple[str, str], Rule]:
    return {(section, key): rule for key, rule in rules.items()}


def _having(section: str) -> Callable[[ReduceFile], bool]:
    return lambda file: section in file.sections


def _with_map(file: ReduceFile) -> bool:
    return bool(file.text("calibration", "fmap"))


TEXT, NUMBER, FLAG = Rule("text"), Rule("number"), Rule("flag")
_POSITIVE, _NOT_NEGATIVE = Rule("number", above=0.0), Rule("number", least=0.0)

RULES: dict[tuple[str, str], Rule] = {
    **_in(
        "general",
        {
            "instrument": TEXT,
            "scale": _POSITIVE,
            "ldevice": TEXT,
            "lwidth": _NOT_NEGATIVE,
            "lheight": _NOT_NEGATIVE,
            "idevice": TEXT,
            "iwidth": _NOT_NEGATIVE,
            "iheight": _NOT_NEGATIVE,
            "toffset": Rule("integer"),
            "skipbadt": FLAG,
            "ncpu": Rule("integer", least=1),
            "ngroup": Rule("integer", least=1),
        },
    ),
    **_in(
        "apertures",
        {
            "aperfile": TEXT,
            "location": Rule("text", words=("fixed", "variable")),
            "search_half_width": _POSITIVE,
            "search_smooth_fwhm": NUMBER,
            "search_smooth_fft": FLAG,
            "fit_method": Rule("text", words=("moffat", "gaussian")),
            "fit_beta": _POSITIVE,
            "fit_beta_max": NUMBER,
            "fit_fwhm": _POSITIVE,
            "fit_fwhm_min": NUMBER,
            "fit_ndiv": Rule("integer", least=0),
            "fit_fwhm_fixed": FLAG,
            "fit_half_width": _POSITIVE,
            "fit_thresh": Rule("number", above=1.0),
            "fit_height_min_ref": NUMBER,
            "fit_height_min_nrf": NUMBER,
            "fit_max_shift": _POSITIVE,
            "fit_alpha": Rule("number", above=0.0, most=1.0),
            "fit_diff": _POSITIVE,
        },
    ),
    **_in(
        "psf_photom",
        {
            "psf_model": Rule("text", words=("moffat", "gaussian")),
            "gfac": _POSITIVE,
            "fit_half_width": _POSITIVE,
            "positions": Rule("text", words=("fixed", "variable")),
        },
    ),
    **_in(
        "sky",
        {
            "method": Rule("text", words=("clipped", "median")),
            "error": Rule("text", words=("variance", "photon")),
            "thresh": NUMBER,
        },
    ),
    **_in(
        "calibration",
        {
            "crop": FLAG,
            "bias": TEXT,
            "flat": TEXT,
            "dark": TEXT,
            "fmap": TEXT,
            "fpair": Rule("text", where=_with_map),
            "nhalf": Rule("integer", least=0, where=_with_map),
            "rmin": Rule("number", where=_with_map),
            "rmax": Rule("number", where=_with_map),
            "readout": TEXT,
            "gain": TEXT,
        },
    ),
    **_in("lcplot", {"xrange": NUMBER, "extend_x": _POSITIVE}),
    **_in("light", {"linear": FLAG, "y_fixed": FLAG, "y1": NUMBER, "y2": NUMBER, "extend_y": _POSITIVE, "plot": TEXT}),
    **_in(
        "position",
        {
            key: Rule(rule.kind, rule.above, where=_having("position"))
            for key, rule in {
                "height": _POSITIVE,
                "x_fixed": FLAG,
                "x_min": NUMBER,
                "x_max": NUMBER,
                "y_fixed": FLAG,
                "y_min": NUMBER,
                "y_max": NUMBER,
                "extend_y": _POSITIVE,
                "plot": TEXT,
            }.items()
        },
    ),
    **_in(
        "transmission",
        {
            "height": Rule("number", above=0.0, where=_having("transmission")),
            "ymax": Rule("number", least=100.0, where=_having("transmission")),
            "plot": Rule("text", where=_having("transmission")),
        },
    ),
    **_in(
        "seeing",
        {
            "height": Rule("number", above=0.0, where=_having("seeing")),
            "ymax": Rule("number", above=0.0, where=_having("seeing")),
            "y_fixed": Rule("flag", where=_having("seeing")),
            "extend_y": Rule("number", above=0.0, where=_having("seeing")),
            "plot": Rule("text", where=_having("seeing")),
        },
    ),
    **_in("focal_mask", {"demask": FLAG, "dthresh": NUMBER}),
}
"""Every key that a reduce file must have, and what it may hold."""


def check_lines(file: ReduceFile) -> None:
    """Check what `RULES` cannot say: lines of several words, and values that depend on each other.

    Raises
    ------
    BadInput
        Naming section and line.
    """
    if not file.sections.get("extraction"):
        raise BadInput("no CCD has an extraction line", file=file.name, place="[extraction]", remedy="add one per CCD")
    for key in file.sections["extraction"]:
        entry = file.entry("extraction", key)
        words = entry.text.split()
        if len(words) != 11 or words[0] not in {"variable", "fixed"} or words[1] not in {"normal", "optimal"}:
            expected = "'variable|fixed normal|optimal' and nine numbers were expected"
            raise file.wrong("extraction", key, entry, expected)
        _numbers(file, "extraction", key, entry, words[2:])
    for entry in file.entries("general", "warn"):
        words = entry.text.split()
        if len(words) != 3:
            raise file.wrong("general", "warn", entry, "a CCD and two levels were expected")
        _numbers(file, "general", "warn", entry, words[1:])
    if file.text("sky", "method") == "median" and file.text("sky", "error") == "variance":
        entry = file.entry("sky", "error")
        raise file.wrong("sky", "error", entry, "a median has no variance: photon was expected")
    if "position" in file.sections:
        for axis in ("x", "y"):
            if not file.number("position", f"{axis}_min") < file.number("position", f"{axis}_max"):
                entry = file.entry("position", f"{axis}_min")
                raise file.wrong("position", f"{axis}_min", entry, f"a number below {axis}_max was expected")
    if "psf_photom" in file.sections and "use_psf" in file.sections["psf_photom"]:
        file.flag("psf_photom", "use_psf")
    if "monitor" not in file.sections:
        raise BadInput("section [monitor] is missing", file=file.name, place="[monitor]", remedy="add it; it may be empty")
    for key in file.sections["monitor"]:
        entry = file.entry("monitor", key)
        unknown = [word for word in entry.text.split() if word not in Flag.__members__]
        if unknown:
            raise file.wrong("monitor", key, entry, f"names of flags were expected ({unknown[0][:40]} is none)")


def check_plots(file: ReduceFile, apertures: Mapping[str, Mapping[str, Aperture]]) -> None:
    """Check that plot lines name CCDs and apertures that exist.

    Raises
    ------
    BadInput
        Naming section and line.
    """
    for section in PLOTS:
        for entry in file.entries(section, "plot"):
            words = entry.text.split()
            if len(words) != (7 if section == "light" else 4):
                form = "ccd targ comp off fac dcol ecol" if section == "light" else "ccd targ dcol ecol"
                raise file.wrong(section, "plot", entry, f"'{form}' was expected")
            ccd, targets = words[0], words[1:3] if section == "light" else words[1:2]
            if ccd not in apertures:
                raise file.wrong(section, "plot", entry, f"a CCD of the aperture file was expected (not {ccd})")
            if ccd not in file.sections["extraction"]:
                raise file.wrong(section, "plot", entry, f"a CCD with an extraction line was expected (not {ccd})")
            for label in targets:
                if label not in apertures[ccd] and not (label == "!" and label is not targets[0]):
                    raise file.wrong(section, "plot", entry, f"an aperture of CCD {ccd} was expected (not {label})")
            if section == "light":
                _numbers(file, section, "plot", entry, words[3:5])


def _numbers(file: ReduceFile, section: str, key: str, entry: Entry, words: Iterable[str]) -> None:
    for word in words:
        if finite(word) is None:
            raise file.wrong(section, key, entry, f"a number was expected in place of {word[:40]!r}")
