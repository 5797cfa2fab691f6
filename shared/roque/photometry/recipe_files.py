"""Recipes from reduce files, and reduce files from recipes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from roque.errors import BadInput
from roque.photometry.apertures import Aperture
from roque.photometry.flags import Flag
from roque.photometry.recipe_sections import (
    Calibration,
    Detector,
    Extraction,
    FocalMask,
    General,
    Pixels,
    PsfPhotometry,
    Radius,
    Sky,
    Tracking,
)
from roque.photometry.reduce_file import VERSION, ReduceFile

if TYPE_CHECKING:
    from roque.photometry.recipe import Recipe

__all__ = ["aperture_file", "calibration_names", "parameters_of", "reduce_file_text"]

_NAMES = ("bias", "dark", "flat", "fmap", "fpair")
_COLOURS = ("blue", "green", "orange", "red", "darkred")


def parameters_of(file: ReduceFile) -> dict[str, Any]:
    """Sections of the recipe that a reduce file describes, see `Recipe.from_reduce_file`."""
    names = calibration_names(file)
    readout, readout_frame = _number_or_name(file, "readout", 0.0)
    gain, gain_frame = _number_or_name(file, "gain", 1.0)
    levels = {words[0]: (float(words[1]), float(words[2])) for words in _words(file, "general", "warn")}
    ccds = file.sections["extraction"]
    return {
        "general": General(
            instrument=file.text("general", "instrument"),
            scale=file.number("general", "scale"),
            toffset=file.integer("general", "toffset"),
            skipbadt=file.flag("general", "skipbadt"),
        ),
        "apertures": _tracking(file),
        "extraction": {ccd: _extraction(file.text("extraction", ccd)) for ccd in ccds},
        "detectors": {
            ccd: Detector(
                readout=readout, gain=gain, nonlinear=levels.get(ccd, (None,))[0], saturation=levels.get(ccd, (None, None))[1]
            )
            for ccd in ccds
        },
        "sky": Sky(method=file.text("sky", "method"), error=file.text("sky", "error"), thresh=file.number("sky", "thresh")),
        "calibration": Calibration(
            bias=_want(names["bias"]),
            dark=_want(names["dark"]),
            flat=_want(names["flat"]),
            fringe=_want(names["fmap"]),
            crop=file.flag("calibration", "crop"),
            **_fringes(file, names["fmap"]),
            readout_frame=readout_frame,
            gain_frame=gain_frame,
        ),
        "pixels": _pixels(file),
        "focal_mask": FocalMask(demask=file.flag("focal_mask", "demask"), dthresh=file.number("focal_mask", "dthresh")),
        "psf_photom": PsfPhotometry(
            use_psf=bool(file.entries("psf_photom", "use_psf")) and file.flag("psf_photom", "use_psf"),
            psf_model=file.text("psf_photom", "psf_model"),
            gfac=file.number("psf_photom", "gfac"),
            fit_half_width=file.number("psf_photom", "fit_half_width"),
            positions=file.text("psf_photom", "positions"),
        ),
        "monitor": {label: tuple(file.text("monitor", label).split()) for label in file.sections["monitor"]},
    }


def calibration_names(file: ReduceFile) -> dict[str, str]:
    """Names of bias, dark, flat, fmap and fpair as the file gives them, with extension; empty for none."""
    names = {}
    for key in _NAMES:
        name = file.entries("calibration", key)[-1].text if file.entries("calibration", key) else ""
        extension = ".frng" if key == "fpair" else ".hcm"
        names[key] = f"{name}{extension}" if name and not name.endswith(extension) else name
    return names


def aperture_file(file: ReduceFile) -> str:
    """Name of the aperture file, with extension."""
    name = file.text("apertures", "aperfile")
    return name if name.endswith(".ape") else f"{name}.ape"


def reduce_file_text(
    recipe: Recipe, apertures: Mapping[str, Mapping[str, Aperture]], aperfile: str, names: Mapping[str, str]
) -> str:
    """Text of a reduce file, see `Recipe.to_reduce_file`."""
    detectors = [recipe.detectors[ccd] for ccd in recipe.extraction]
    if len({(d.readout, d.gain) for d in detectors}) != 1:
        raise BadInput(
            "a reduce file holds one read noise and one gain for all CCDs", place="detectors", remedy="give equal ones"
        )
    plotted = {ccd: list(apertures[ccd]) for ccd in recipe.extraction if apertures.get(ccd)}
    if not plotted:
        raise BadInput("no CCD that is extracted has apertures", place="extraction", remedy="place apertures")
    return "\n".join(
        (
            *_general(recipe),
            *_section("apertures", {"aperfile": aperfile, **dict(_values(recipe.apertures)[:-1])}),
            *_section("extraction", {ccd: _line(e) for ccd, e in recipe.extraction.items()}),
            *_section("psf_photom", dict(_values(recipe.psf_photom)[:5])),
            *_section("sky", dict(_values(recipe.sky))),
            *_calibration(recipe, names, detectors[0]),
            *_plots(plotted, apertures),
            *(_section("pixels", dict(_values(recipe.pixels))) if recipe.pixels != Pixels() else ()),
            *_section("focal_mask", dict(_values(recipe.focal_mask))),
            *_section("monitor", {label: " ".join(filter(_known, flags)) for label, flags in recipe.monitor.items()}),
        )
    )


def _tracking(file: ReduceFile) -> Tracking:
    numbers = (
        "search_half_width", "search_smooth_fwhm", "fit_beta", "fit_beta_max", "fit_fwhm", "fit_fwhm_min", "fit_half_width",
        "fit_thresh", "fit_height_min_ref", "fit_height_min_nrf", "fit_max_shift", "fit_alpha", "fit_diff",
    )  # fmt: skip
    has_max = bool(file.entries("apertures", "fit_fwhm_max"))
    return Tracking(
        location=file.text("apertures", "location"),
        search_smooth_fft=file.flag("apertures", "search_smooth_fft"),
        fit_method=file.text("apertures", "fit_method"),
        fit_fwhm_max=file.number("apertures", "fit_fwhm_max") if has_max else 1000.0,
        fit_ndiv=file.integer("apertures", "fit_ndiv"),
        recover=False,
        fit_fwhm_fixed=file.flag("apertures", "fit_fwhm_fixed"),
        **{key: file.number("apertures", key) for key in numbers},
    )


def _pixels(file: ReduceFile) -> Pixels:
    """Section [pixels], which the HiPERCAM pipeline does not know and skips; what it does not have keeps its default."""
    given = {key: entries[-1].text for key, entries in file.sections.get("pixels", {}).items()}
    for key in given:
        if key not in Pixels.__dataclass_fields__:
            raise file.wrong("pixels", key, file.entry("pixels", key), f"one of {', '.join(Pixels.__dataclass_fields__)}")
    flags = {key: file.flag("pixels", key) for key in ("saturated", "cosmic_rays") if key in given}
    values: dict[str, Any] = given | flags
    return Pixels(**values)


def _extraction(line: str) -> Extraction:
    resize, method, *numbers = line.split()
    radii = [Radius(factor=a, least=b, greatest=c) for a, b, c in zip(*[iter(map(float, numbers))] * 3, strict=True)]
    return Extraction(resize=resize, method=method, target=radii[0], inner_sky=radii[1], outer_sky=radii[2])


def _want(name: str) -> str:
    return "required" if name else "never"


def _fringes(file: ReduceFile, fringe_map: str) -> dict[str, Any]:
    """Settings of defringing, which need not stand in a file that names no fringe map."""
    if not fringe_map:
        return {}
    return {
        "nhalf": file.integer("calibration", "nhalf"),
        "rmin": file.number("calibration", "rmin"),
        "rmax": file.number("calibration", "rmax"),
    }


def _number_or_name(file: ReduceFile, key: str, otherwise: float) -> tuple[float, str]:
    entry = file.entry("calibration", key)
    try:
        value = float(entry.text)
    except ValueError:
        if not entry.text or entry.text == "!":
            raise file.wrong("calibration", key, entry, "a number or the name of a frame was expected") from None
        name = entry.text
        return otherwise, name if name.endswith(".hcm") else f"{name}.hcm"
    if not (0.0 < value < math.inf or (value == 0.0 and key == "readout")):
        raise file.wrong("calibration", key, entry, "a positive number was expected")
    return value, ""


def _words(file: ReduceFile, section: str, key: str) -> list[list[str]]:
    return [entry.text.split() for entry in file.entries(section, key)]


def _section(name: str, values: Mapping[str, object], *more: str) -> list[str]:
    return [f"[{name}]", *(f"{key} = {_text(value)}".rstrip() for key, value in values.items()), *more, ""]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value) if isinstance(value, float) else str(value)


def _values(section: object) -> list[tuple[str, object]]:
    return [(name, getattr(section, name)) for name in section.__dataclass_fields__]  # type: ignore[attr-defined]


def _known(flag: str) -> bool:
    """Whether the HiPERCAM pipeline has a flag: it does not read a file that names another."""
    return Flag[flag] < Flag.LOST


def _line(e: Extraction) -> str:
    numbers = [n for r in (e.target, e.inner_sky, e.outer_sky) for n in (r.factor, r.least, r.greatest)]
    return " ".join((e.resize, e.method, *map(repr, numbers)))


def _general(recipe: Recipe) -> list[str]:
    general = recipe.general
    values = {
        "version": VERSION,
        "instrument": general.instrument,
        "scale": general.scale,
        "ldevice": "1/xs",
        "lwidth": 0.0,
        "lheight": 0.0,
        "idevice": "2/xs",
        "iwidth": 0.0,
        "iheight": 0.0,
        "toffset": general.toffset,
        "skipbadt": general.skipbadt,
    }
    warn = [
        f"warn = {ccd} {d.nonlinear:.15g} {d.saturation:.15g}"
        for ccd, d in recipe.detectors.items()
        if d.nonlinear is not None and d.saturation is not None
    ]
    return _section("general", values, *warn, "ncpu = 1", "ngroup = 1")


def _calibration(recipe: Recipe, names: Mapping[str, str], detector: Detector) -> list[str]:
    calibration = recipe.calibration
    values = {
        "crop": calibration.crop,
        **{key: names.get(key, "") for key in ("bias", "flat", "dark", "fmap", "fpair")},
        "nhalf": calibration.nhalf,
        "rmin": calibration.rmin,
        "rmax": calibration.rmax,
        "readout": calibration.readout_frame or detector.readout,
        "gain": calibration.gain_frame or detector.gain,
    }
    return _section("calibration", values)


def _plots(plotted: Mapping[str, list[str]], apertures: Mapping[str, Mapping[str, Aperture]]) -> list[str]:
    """Plot sections as genred writes them: target 1, comparison 2 or 3; the first of what there is otherwise."""
    light, transmission, seeing = [], [], []
    for i, (ccd, labels) in enumerate(plotted.items()):
        colour = _COLOURS[i % len(_COLOURS)]
        target = "1" if "1" in labels else labels[0]
        comparison = next((label for label in ("2", "3", *labels) if label in labels and label != target), "!")
        light.append(f"plot = {ccd} {target} {comparison} 0 1 {colour} !")
        steady = comparison if comparison != "!" else target
        transmission.append(f"plot = {ccd} {steady} {colour} !")
        free = next((label for label in ("1", "2", "3", *labels) if label in labels and not apertures[ccd][label].link), target)
        seeing.append(f"plot = {ccd} {free} {colour} !")
    positions = transmission[1 if len(transmission) > 1 else 0]
    limits = {"y_fixed": False, "y_min": -5.0, "y_max": 5.0, "extend_y": 0.2}
    return [
        *_section("lcplot", {"xrange": 0, "extend_x": 10.0}),
        *_section("light", {"linear": False, "y_fixed": False, "y1": 0, "y2": 0, "extend_y": 0.1}, *light),
        *_section("position", {"height": 0.5, "x_fixed": False, "x_min": -5.0, "x_max": 5.0, **limits}, positions),
        *_section("transmission", {"height": 0.5, "ymax": 110.0}, *transmission),
        *_section("seeing", {"height": 0.5, "ymax": 2.999, "y_fixed": False, "extend_y": 0.2}, *seeing),
    ]
