from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from roque.errors import BadInput
from roque.photometry.apertures import Aperture, read_apertures
from roque.photometry.recipe import Recipe
from roque.photometry.recipe_files import aperture_file, calibration_names
from roque.photometry.recipe_sections import Pixels
from roque.photometry.reduce_file import loads, read_reduce_file


@pytest.fixture(scope="module")
def peer(golden):
    return golden / "hipercam" / "peer"


@pytest.fixture(scope="module")
def recipe(peer):
    return Recipe.from_reduce_file(read_reduce_file(peer / "A_moffat.red"))


def test_a_recipe_goes_through_json_unchanged(recipe):
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_what_has_a_default_may_be_left_out(recipe):
    values = recipe.to_dict()
    for section in ("general", "trim", "sky", "calibration", "focal_mask", "psf_photom", "monitor", "parity"):
        del values[section]
    made = Recipe.from_dict(values)
    assert made.sky.thresh == 3.0
    assert made.parity is False


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("sky.thresh", "three", "a number was expected"),
        ("sky.thresh", float("nan"), "a number was expected"),
        ("sky.thresh", True, "a number was expected"),
        ("sky.method", "mode", "one of clipped, median"),
        ("sky.method", "median", "a median has no variance"),
        ("sky.colour", "blue", "no parameter has this name"),
        ("apertures.fit_ndiv", 1.5, "a whole number"),
        ("apertures.fit_alpha", 0.0, "above 0 to 1"),
        ("apertures.fit_thresh", 1.0, "above 1"),
        ("apertures.search_smooth_fft", "yes", "true or false"),
        ("apertures.fit_method", 3, "a text"),
        ("extraction.2.method", "quick", "one of normal, optimal"),
        ("extraction.2.target", 3.0, "a table of parameters"),
        ("extraction.9", {}, "the parameter is missing"),
        ("detectors.1.gain", 0.0, "above 0"),
        ("detectors", {}, "no read noise and gain are known"),
        ("calibration.bias", "always", "one of required, wanted, optional, never"),
        ("monitor.1", ["NO_LUCK"], "words out of"),
        ("monitor", [], "a table"),
        ("trim.columns", -1, "at least 0"),
    ],
)
def test_values_that_are_not_allowed_are_refused_with_their_name(path, value, said, recipe):
    values = recipe.to_dict()
    *sections, key = path.split(".")
    table = values
    for section in sections:
        table = table[section]
    table[key] = value
    with pytest.raises(BadInput, match=said) as caught:
        Recipe.from_dict(values)
    expected = {"sky.method=median": "sky.error", "extraction.9={}": "extraction.9.target", "detectors={}": "detectors.1"}
    assert caught.value.place == expected.get(f"{path}={value}", path if path != "monitor.1" else "monitor")


def test_a_missing_parameter_is_named(recipe):
    values = recipe.to_dict()
    del values["apertures"]["fit_fwhm"]
    with pytest.raises(BadInput) as caught:
        Recipe.from_dict(values)
    assert caught.value.place == "apertures.fit_fwhm"


def test_the_digest_is_that_of_the_values_in_any_process(recipe):
    code = (
        "import sys, json; from roque.photometry.recipe import Recipe; print(Recipe.from_dict(json.load(sys.stdin)).digest())"
    )
    shuffled = json.dumps(dict(reversed(recipe.to_dict().items())))
    said = subprocess.run([sys.executable, "-c", code], input=shuffled, capture_output=True, text=True, check=True).stdout
    assert said.strip() == recipe.digest()
    assert recipe.changed({"sky.thresh": 3.5}).digest() != recipe.digest()
    assert recipe.changed({"sky.thresh": 3}).digest() == recipe.digest()


def test_parameters_change_by_their_full_names(recipe):
    made = recipe.changed({"sky.thresh": 2.5, "extraction.2.method": "optimal", "detectors.*.gain": 2.0})
    assert made.sky.thresh == 2.5
    assert [line.method for line in made.extraction.values()] == ["normal", "optimal", "normal", "normal", "normal"]
    assert {d.gain for d in made.detectors.values()} == {2.0}
    assert recipe.sky.thresh == 3.0


@pytest.mark.parametrize("name", ["sky.colour", "colour", "sky.thresh.deep", "extraction.*"])
def test_a_name_that_no_parameter_has_is_refused(name, recipe):
    with pytest.raises(BadInput, match="no parameter has this name") as caught:
        recipe.changed({name: 1.0})
    assert caught.value.place == name


def test_a_reduce_file_says_everything(peer):
    file = read_reduce_file(peer / "C_defringe.red")
    recipe = Recipe.from_reduce_file(file)
    assert recipe.parity
    assert recipe.general.scale == 0.081
    assert recipe.calibration.fringe == "required"
    assert recipe.calibration.rmin == -0.5
    assert dataclasses.astuple(recipe.extraction["1"].outer_sky) == (3.0, 24.0, 24.0)
    assert recipe.detectors["3"].saturation == 64000.0
    assert calibration_names(file) == {
        "bias": "bias.hcm",
        "dark": "dark.hcm",
        "flat": "flat.hcm",
        "fmap": "fmap.hcm",
        "fpair": "fringe.frng",
    }
    assert aperture_file(file) == "C.ape"
    assert recipe.monitor["1"][0] == "NO_EXTRACTION"


def test_every_reduce_file_comes_back_from_its_recipe(peer):
    names = sorted(peer.glob("[ABC]_*.red"))
    assert len(names) >= 40
    for name in names:
        file = read_reduce_file(name)
        apertures = read_apertures(peer / aperture_file(file))
        recipe = Recipe.from_reduce_file(file)
        text = recipe.to_reduce_file(apertures, aperture_file(file), calibration_names(file))
        again = loads(text, apertures)
        assert Recipe.from_reduce_file(again) == recipe, name.name
        assert calibration_names(again) == calibration_names(file)


def test_plot_lines_name_what_there_is(recipe):
    apertures = {"2": {"x": Aperture(1.0, 1.0, 1.0, 2.0, 3.0, link="y"), "y": Aperture(1.0, 1.0, 1.0, 2.0, 3.0)}}
    file = loads(recipe.to_reduce_file(apertures, "my.ape"), apertures)
    assert [e.text for e in file.entries("light", "plot")] == ["2 x y 0 1 blue !"]
    assert [e.text for e in file.entries("seeing", "plot")] == ["2 y blue !"]
    assert file.text("calibration", "bias") == ""


def test_a_reduce_file_names_no_flag_and_no_parameter_that_the_pipeline_does_not_know(recipe):
    apertures = {"2": {"x": Aperture(1.0, 1.0, 1.0, 2.0, 3.0)}}
    watched = recipe.changed({"monitor": {"x": ["LOST", "NO_EXTRACTION", "RECOVERED"]}, "apertures.recover": True})
    file = loads(watched.to_reduce_file(apertures, "my.ape"), apertures)
    assert file.text("monitor", "x") == "NO_EXTRACTION"
    assert not file.entries("apertures", "recover")


def test_without_levels_nothing_is_flagged(peer):
    text = (peer / "A_moffat.red").read_text().replace("warn = 3 50000 64000\n", "")
    recipe = Recipe.from_reduce_file(loads(text))
    assert recipe.detectors["3"].saturation is None
    assert recipe.detectors["2"].nonlinear == 50000.0


def test_frames_of_read_noise_and_gain_are_named(peer):
    text = (
        (peer / "A_moffat.red")
        .read_text()
        .replace("readout = 4.2", "readout = noise")
        .replace("gain = 1.1", "gain = gains.hcm")
    )
    recipe = Recipe.from_reduce_file(loads(text))
    assert recipe.calibration.readout_frame == "noise.hcm"
    assert recipe.calibration.gain_frame == "gains.hcm"


def test_a_reduce_file_may_say_which_pixels_are_left_out(peer):
    text = (peer / "A_moffat.red").read_text()
    assert Recipe.from_reduce_file(loads(text)).pixels == Pixels()
    said = f"{text}\n[pixels]\ndefects = bad.dft\nsaturated = yes\noverscan = level\n"
    recipe = Recipe.from_reduce_file(loads(said))
    assert recipe.pixels == Pixels(defects="bad.dft", saturated=True, overscan="level")
    apertures = read_apertures(peer / "A.ape")
    assert Recipe.from_reduce_file(loads(recipe.to_reduce_file(apertures, "A.ape"))).pixels == recipe.pixels
    for wrong, where in (("saturated = 7", "saturated"), ("dust = yes", "dust"), ("severity = mild", "severity")):
        with pytest.raises(BadInput, match=where):
            Recipe.from_reduce_file(loads(f"{text}\n[pixels]\n{wrong}\n"))


@pytest.mark.parametrize("value", ["!", "-3.0", ""])
def test_a_read_noise_that_is_neither_number_nor_name_is_refused(value, peer):
    text = (peer / "A_moffat.red").read_text().replace("readout = 4.2", f"readout = {value}")
    with pytest.raises(BadInput, match="readout"):
        Recipe.from_reduce_file(loads(text))


def test_a_reduce_file_cannot_hold_two_gains(recipe, peer):
    with pytest.raises(BadInput, match="one read noise and one gain"):
        recipe.changed({"detectors.2.gain": 3.0}).to_reduce_file(read_apertures(peer / "A.ape"), "A.ape")


def test_a_reduce_file_needs_apertures(recipe):
    with pytest.raises(BadInput, match="no CCD that is extracted has apertures"):
        recipe.to_reduce_file({"1": {}}, "A.ape")
