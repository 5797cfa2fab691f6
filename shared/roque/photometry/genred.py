"""Reduce files that work at once, for an instrument and the seeing: what the HiPERCAM pipeline's genred writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from roque.errors import BadInput
from roque.photometry.apertures import Aperture
from roque.photometry.presets import COLOURS, PRESETS, Preset
from roque.photometry.reduce_file import VERSION, ReduceFile
from roque.photometry.reduce_rules import RULES

__all__ = ["write_reduce_file"]

_USUAL = (1.5, 4.0, 1)  # seeing, worst seeing, binning
_MONITORED = "NO_EXTRACTION TARGET_SATURATED TARGET_AT_EDGE TARGET_NONLINEAR NO_SKY NO_FWHM NO_DATA SKY_AT_EDGE"


def write_reduce_file(
    preset: Preset | None,
    apertures: Mapping[str, Mapping[str, Aperture]],
    aperfile: str,
    masters: Mapping[str, str],
    *,
    seeing: float,
    worst: float,
    binning: int,
    template: ReduceFile | None = None,
) -> str:
    """Text of a reduce file.

    Parameters
    ----------
    preset : Preset or None
        The instrument; None: that of the template.
    apertures : Apertures
        They decide which CCDs are extracted and what is plotted: 1 is taken for the target, 2 for the comparison.
    aperfile : str
        Name of their file.
    masters : mapping of str to str
        Names of bias, dark, flat, fmap and fpair; '' for none.
    seeing, worst : float
        Typical and worst seeing, arcsec; a seeing of 0 leaves all lengths to the template, without one it stands for
        unbinned data in a seeing of 1.5, 4 at worst.
    binning : int
        Of the data.
    template : ReduceFile, optional
        Where all other values are taken from, and what is plotted and monitored. Its extraction lines are kept, but for the
        words: 'variable normal'. CCDs without one are left out.

    Raises
    ------
    BadInput
        There is neither instrument nor template, no CCD has apertures, or none of those has an extraction line in the template.
    """
    if preset is None:
        preset = _preset_of(template)
    if seeing <= 0.0 and template is None:
        seeing, worst, binning = _USUAL
    ccds = {ccd: list(members) for ccd, members in apertures.items() if members}
    if not ccds:
        raise BadInput("no CCD has apertures", file=aperfile, remedy="place apertures first")
    if template is not None and not (ccds := {ccd: own for ccd, own in ccds.items() if template.entries("extraction", ccd)}):
        raise BadInput("no CCD with apertures has an extraction line", file=template.name, remedy="take another template")
    lengths = _lengths(preset.scale, seeing, worst, binning)
    sections: dict[str, list[tuple[str, str]]] = {
        "general": [*_general(preset).items(), *(("warn", f"{c} {a:g} {b:g}") for c, (a, b) in preset.levels.items())],
        "apertures": [("aperfile", aperfile), *_tracking(lengths).items()],
        "extraction": [(ccd, _extraction(template, ccd) or lengths["extraction"]) for ccd in ccds],
        "psf_photom": [
            ("use_psf", "no"), ("psf_model", "moffat"), ("gfac", "3.0"), ("fit_half_width", "15.0"), ("positions", "fixed"),
        ],
        "sky": [("method", "clipped"), ("error", "variance"), ("thresh", "3.0")],
        "calibration": _calibration(preset, masters),
        **_plots(preset, ccds, apertures),
        "focal_mask": [("demask", "no"), ("dthresh", "3.0")],
        "monitor": [(label, _MONITORED) for label in dict.fromkeys(label for labels in ccds.values() for label in labels)],
    }  # fmt: skip
    if template is not None:
        kept = {"aperfile", "plot", "version", *masters, *(lengths if seeing > 0.0 else ())}
        sections = {name: list(_from_template(template, name, values, kept)) for name, values in sections.items()}
        sections |= _panels(template, apertures, sections["light"])
        sections = {name: values for name, values in sections.items() if values}
        sections["monitor"] = [(label, entries[-1].text) for label, entries in template.sections["monitor"].items()]
    return "\n".join(_lines(sections)) + "\n"


def _preset_of(template: ReduceFile | None) -> Preset:
    if template is None:
        raise BadInput("neither an instrument nor a template", place="inst", remedy="name one of them")
    known = PRESETS.get(template.text("general", "instrument"))
    words = [entry.text.split() for entry in template.entries("general", "warn")]
    ccds = template.sections["extraction"]
    return Preset(
        name=template.text("general", "instrument"),
        scale=template.number("general", "scale"),
        readout=template.text("calibration", "readout"),
        gain=template.text("calibration", "gain"),
        levels={ccd: (float(nonlinear), float(saturation)) for ccd, nonlinear, saturation in words},
        colours=known.colours if known else COLOURS,
        position=known.position if known else next(iter(ccds)),
    )


def _lengths(scale: float, seeing: float, worst: float, binning: int) -> dict[str, str]:
    """What follows the seeing; lengths in unbinned pixels, but for that of the smoothing."""
    usual, most = seeing / scale, worst / scale
    least, sky = 3.0 * binning, max(3.0 * binning, 1.8 * most)
    return {
        "search_half_width": f"{max(5.0, most):.1f}",
        "search_smooth_fwhm": f"{max(2.0, usual / binning):.1f}",
        "fit_fwhm": f"{max(1.5 * binning, usual):.1f}",
        "fit_fwhm_min": f"{1.5 * binning:.1f}",
        "fit_fwhm_max": f"{3.0 * most:.1f}",
        "fit_half_width": f"{max(5.0, 2.0 * most):.1f}",
        "fit_max_shift": f"{max(1.0, most / 4.0):.1f}",
        "fit_diff": f"{max(1.0, most / 6.0):.2f}",
        "extraction": f"variable normal 1.80 {least:.1f} {sky:.1f} 2.5 {sky:.1f} {sky:.1f} 3.0 {1.5 * sky:.1f} {1.5 * sky:.1f}",
    }


def _general(preset: Preset) -> dict[str, str]:
    return {
        "version": VERSION, "instrument": preset.name, "scale": f"{preset.scale:g}",
        "ldevice": "1/xs", "lwidth": "0.0", "lheight": "0.0", "idevice": "2/xs", "iwidth": "0.0", "iheight": "0.0",
        "toffset": "0", "skipbadt": "yes", "ncpu": "1", "ngroup": "1",
    }  # fmt: skip


def _tracking(lengths: Mapping[str, str]) -> dict[str, str]:
    fixed = {
        "location": "variable", "search_half_width": "", "search_smooth_fwhm": "", "search_smooth_fft": "no",
        "fit_method": "moffat", "fit_beta": "5.0", "fit_beta_max": "20.0", "fit_fwhm": "", "fit_fwhm_min": "",
        "fit_fwhm_max": "", "fit_ndiv": "0", "fit_fwhm_fixed": "no", "fit_half_width": "", "fit_thresh": "8.00",
        "fit_height_min_ref": "40.0", "fit_height_min_nrf": "10.0", "fit_max_shift": "", "fit_alpha": "0.10", "fit_diff": "",
    }  # fmt: skip
    return {key: text or lengths[key] for key, text in fixed.items()}


def _calibration(preset: Preset, masters: Mapping[str, str]) -> list[tuple[str, str]]:
    names = [(kind, masters.get(kind, "")) for kind in ("bias", "flat", "dark", "fmap", "fpair")]
    fringes = [("nhalf", "3"), ("rmin", "-1.0"), ("rmax", "2.0")]
    return [("crop", "yes"), *names, *fringes, ("readout", preset.readout), ("gain", preset.gain)]


def _plots(
    preset: Preset, ccds: Mapping[str, list[str]], apertures: Mapping[str, Mapping[str, Aperture]]
) -> dict[str, list[tuple[str, str]]]:
    light, steady, seeing = [], {}, []
    for ccd, labels in ccds.items():
        colour = preset.colours.get(ccd, "black")
        target = "1" if "1" in labels else labels[0]
        comparison = next((label for label in ("2", "3") if label in labels and label != target), "!")
        light.append(("plot", f"{ccd} {target} {comparison} 0 1 {colour} !"))
        usual = next((label for label in ("2", "3", "1") if label in labels), None)
        if usual is not None:
            steady[ccd] = (usual, colour)
        free = next((label for label in ("1", "2", "3") if label in labels and not apertures[ccd][label].link), None)
        if free is not None:
            seeing.append(("plot", f"{ccd} {free} {colour} !"))
    limits = [("x_fixed", "no"), ("x_min", "-5.0"), ("x_max", "5.0"), ("y_fixed", "no"), ("y_min", "-5.0"), ("y_max", "5.0")]
    made = {
        "lcplot": [("xrange", "0"), ("extend_x", "10.0")],
        "light": [("linear", "no"), ("y_fixed", "no"), ("y1", "0"), ("y2", "0"), ("extend_y", "0.1"), *light],
    }
    position = preset.position if preset.position in ccds else next(iter(ccds))
    if position in steady:
        # positions in the colour of the last CCD: they are to be told from the light curve of their own
        path = ("plot", f"{position} {steady[position][0]} {preset.colours.get(list(apertures)[-1], 'black')} !")
        made["position"] = [("height", "0.5"), *limits, ("extend_y", "0.2"), path]
    if steady:
        transmission = [("plot", f"{ccd} {label} {colour} !") for ccd, (label, colour) in steady.items()]
        made["transmission"] = [("height", "0.5"), ("ymax", "110.0"), *transmission]
    if seeing:  # where every star is linked, none has a FWHM of its own
        made["seeing"] = [("height", "0.5"), ("ymax", "2.999"), ("y_fixed", "no"), ("extend_y", "0.2"), *seeing]
    return made


def _extraction(template: ReduceFile | None, ccd: str) -> str:
    """Extraction line of a template with the usual words; '' if it has none."""
    entries = template.entries("extraction", ccd) if template is not None else []
    return f"variable normal {' '.join(entries[-1].text.split()[2:])}" if entries else ""


def _from_template(
    template: ReduceFile, section: str, values: list[tuple[str, str]], kept: set[str]
) -> Iterator[tuple[str, str]]:
    """Values of a section, but those of the template where it has them and they are not to be kept."""
    for key, text in values:
        entries = template.entries(section, key)
        repeated = key == "warn"
        own = section != "extraction" and key not in kept and entries and not repeated
        yield key, _text(template, section, key) if own else text


def _panels(
    template: ReduceFile, apertures: Mapping[str, Mapping[str, Aperture]], light: list[tuple[str, str]]
) -> dict[str, list[tuple[str, str]]]:
    """Panels of plots as a template has them, without lines of apertures that are not there; an empty one is left out.

    What is plotted of the transmission is plotted of the seeing, as in the HiPERCAM pipeline.
    """

    def lines(section: str, labels: slice) -> list[list[str]]:
        words = [entry.text.split() for entry in template.entries(section, "plot")]
        return [line for line in words if all(a == "!" or a in apertures.get(line[0], {}) for a in line[labels])]

    one = slice(1, 2)
    transmission = lines("transmission", one)
    free = [line for line in transmission or lines("seeing", one) if not apertures[line[0]][line[1]].link]
    found = {"light": lines("light", slice(1, 3)), "position": lines("position", one), "transmission": transmission}
    panels = {"light": [pair for pair in light if pair[0] == "plot"]}
    for name, wanted in (found | {"seeing": free}).items():
        panels[name] = [("plot", " ".join(line)) for line in wanted] or panels.get(name, [])
        own = [(key, _text(template, name, key)) for key in template.sections.get(name, ()) if key != "plot"]
        panels[name] = [*own, *panels[name]] if own and panels[name] else []
    return panels


def _text(template: ReduceFile, section: str, key: str) -> str:
    """Value as the HiPERCAM pipeline repeats it: yes and no in its own words."""
    rule = RULES.get((section, key))
    return str(template.flag(section, key)) if rule is not None and rule.kind == "flag" else template.text(section, key)


_ABOUT = {
    "general": "The instrument; warn: CCD and the counts from which it is non-linear and saturated.",
    "apertures": "How stars are followed; lengths in unbinned pixels, but search_smooth_fwhm in binned ones.",
    "extraction": "CCD = resize (variable, fixed) method (normal, optimal), then factor of the FWHM, least\n"
    "# and greatest radius of target, inner sky and outer sky.",
    "psf_photom": "Photometry by profile fits.",
    "sky": "method: clipped, median; error: variance, photon (with median).",
    "calibration": "Frames to apply, empty for none; readout: RMS ADU, gain: electrons/ADU.",
    "lcplot": "Plots: nothing that is measured depends on the rest, but on focal_mask.",
    "focal_mask": "Correction for a badly placed focal-plane mask in drift mode.",
    "monitor": "Aperture = flags to be told of.",
}


def _lines(sections: Mapping[str, list[tuple[str, str]]]) -> Iterator[str]:
    yield "# Reduce file written by genred of roque."
    for name, values in sections.items():
        yield ""
        if name in _ABOUT:
            yield f"# {_ABOUT[name]}"
        yield f"[{name}]"
        yield from (f"{key} = {text}".rstrip() for key, text in values)
