"""Reduce files for an instrument, the seeing and apertures."""

import pytest

from roque.errors import BadInput
from roque.photometry.apertures import Aperture
from roque.photometry.genred import write_reduce_file
from roque.photometry.presets import PRESETS, other_preset
from roque.photometry.reduce_file import loads

STAR = Aperture(100.0, 100.0, 5.0, 10.0, 15.0)
LINKED = Aperture(100.0, 100.0, 5.0, 10.0, 15.0, link="2")
APERTURES = {"1": {"1": STAR, "2": STAR}, "3": {"1": LINKED, "2": STAR}, "2": {}}


def made(preset=PRESETS["ultracam-ntt"], apertures=APERTURES, template=None, **values):
    values = {"seeing": 1.5, "worst": 3.0, "binning": 1} | values
    text = write_reduce_file(preset, apertures, "stars.ape", {"bias": "bias.hcm"}, template=template, **values)
    return text, loads(text, apertures)


@pytest.mark.parametrize("name", PRESETS)
def test_files_for_every_instrument_are_read_back(name):
    preset = PRESETS[name]
    apertures = {ccd: {"1": STAR, "2": STAR} for ccd in preset.levels}
    _, file = made(preset, apertures)
    assert file.text("general", "instrument") == name
    assert [entry.text.split()[0] for entry in file.entries("general", "warn")] == list(preset.levels)


def test_lengths_follow_seeing_binning_and_scale():
    _, file = made(seeing=0.7, worst=7.0, binning=4)
    assert file.number("apertures", "fit_fwhm") == 6.0  # not less than 1.5 binned pixels
    assert file.number("apertures", "search_smooth_fwhm") == 2.0
    assert file.number("apertures", "search_half_width") == 20.0
    assert file.text("extraction", "1") == "variable normal 1.80 12.0 36.0 2.5 36.0 36.0 3.0 54.0 54.0"


def test_only_ccds_with_apertures_are_extracted_and_linked_stars_tell_no_seeing():
    _, file = made()
    assert list(file.sections["extraction"]) == ["1", "3"]
    assert [entry.text for entry in file.entries("seeing", "plot")] == ["1 1 red !", "3 2 blue !"]
    assert file.text("position", "plot").startswith("1 2")  # CCD 2, the usual one, has no apertures


def test_a_template_gives_what_the_seeing_does_not():
    text, _ = made()
    old = text.replace("fit_thresh = 8.00", "fit_thresh = 6.5").replace("thresh = 3.0", "thresh = 2.5")
    old = old.replace("1 = variable normal 1.80", "1 = fixed optimal 1.60").replace("warn = 1 50000", "warn = 1 40000")
    _, file = made(None, template=loads(old), seeing=2.0)
    assert file.number("apertures", "fit_thresh") == 6.5
    assert file.number("sky", "thresh") == 2.5
    assert file.text("extraction", "1").startswith("variable normal 1.60 ")
    assert file.text("general", "warn") == "3 28000 64000"
    assert file.entries("general", "warn")[0].text == "1 40000 64000"
    assert file.number("apertures", "fit_fwhm") == 5.7


def test_a_seeing_of_zero_leaves_lengths_to_the_template():
    text, before = made()
    _, file = made(None, template=loads(text), seeing=0.0, worst=0.0)
    for key in ("search_half_width", "fit_fwhm", "fit_half_width", "fit_diff"):
        assert file.text("apertures", key) == before.text("apertures", key)


def test_another_instrument_is_described_in_numbers():
    preset = other_preset([4e4, 5e4], [6e4, 6e4], scale=0.5, readout="3.0", gain="2.0", position="2")
    _, file = made(preset, {"1": {"1": STAR}, "2": {"1": STAR}})
    assert [entry.text for entry in file.entries("general", "warn")] == ["1 40000 60000", "2 50000 60000"]
    assert file.number("calibration", "gain") == 2.0
    assert file.text("light", "plot").split()[1:3] == ["1", "!"]


def test_a_seeing_of_zero_without_a_template_is_the_usual_one():
    assert made(seeing=0.0, worst=0.0, binning=4)[0] == made(seeing=1.5, worst=4.0, binning=1)[0]


def test_plots_and_monitored_apertures_of_a_template_are_kept_where_their_apertures_are_there():
    text, _ = made(apertures={"1": {"1": STAR, "2": STAR, "4": STAR}, "2": {"1": STAR}, "3": {"1": STAR, "2": STAR}})
    old = text.replace("plot = 3 1 2 0 1 blue !", "plot = 3 1 2 0.5 2 pink red").replace("demask = no", "demask = yes")
    old = old.replace("plot = 1 1 2 0 1 red !", "plot = 1 4 2 0 1 red !")
    written, file = made(None, template=loads(old))
    assert list(file.sections["extraction"]) == ["1", "3"]
    assert [entry.text for entry in file.entries("light", "plot")] == ["3 1 2 0.5 2 pink red"]
    assert [entry.text for entry in file.entries("transmission", "plot")] == ["1 2 red !", "3 2 blue !"]
    assert [entry.text for entry in file.entries("seeing", "plot")] == ["1 2 red !", "3 2 blue !"]  # as of the transmission
    assert "position" not in file.sections  # it showed CCD 2
    assert list(file.sections["monitor"]) == ["1", "2", "4"]
    assert file.flag("focal_mask", "demask")
    assert "skipbadt = True" in written  # in the words in which the HiPERCAM pipeline repeats it


def test_light_curves_are_plotted_even_if_the_template_plots_none_that_is_there():
    text, _ = made(apertures={"1": {"5": STAR}, "3": {"5": STAR}})
    _, file = made(None, template=loads(text))
    assert [entry.text for entry in file.entries("light", "plot")] == ["1 1 2 0 1 red !", "3 1 2 0 1 blue !"]


def test_ccds_without_an_extraction_line_in_the_template_are_left_out():
    text, _ = made()
    both = {"2": {"1": STAR}, "3": {"1": STAR, "2": STAR}}
    assert list(made(None, both, loads(text))[1].sections["extraction"]) == ["3"]
    with pytest.raises(BadInput, match="extraction line"):
        made(None, {"2": {"1": STAR}}, loads(text))


def test_ccds_of_other_instruments_have_the_colours_of_the_hipercam_pipeline():
    preset = other_preset([4e4] * 6, [6e4] * 6, scale=0.5, readout="3.0", gain="2.0", position="2")
    _, file = made(preset, {ccd: {"1": STAR, "2": STAR} for ccd in "123456"})
    colours = [entry.text.split()[5] for entry in file.entries("light", "plot")]
    assert colours == ["green", "blue", "red", "orange", "purple", "black"]
    assert file.text("position", "plot") == "2 2 black !"


@pytest.mark.parametrize("values", [{"preset": None}, {"apertures": {"1": {}}}])
def test_too_little_to_go_by_is_refused(values):
    with pytest.raises(BadInput):
        made(**values)
