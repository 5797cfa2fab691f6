from __future__ import annotations

import re

import pytest

from roque.errors import BadInput, NotFound
from roque.photometry.apertures import read_apertures
from roque.photometry.recipe import Recipe
from roque.photometry.reduce_file import loads, read_reduce_file


@pytest.fixture(scope="module")
def peer(golden):
    return golden / "hipercam" / "peer"


@pytest.fixture(scope="module")
def good(peer):
    return (peer / "A_moffat.red").read_text()


@pytest.fixture(scope="module")
def apertures(peer):
    return read_apertures(peer / "A.ape")


def with_value(text, section, key, value):
    """The text with the value of a key replaced, or its line taken out (None)."""
    head, mark, tail = text.partition(f"[{section}]")
    pattern = re.compile(rf"^{key}\s*=.*\n", re.MULTILINE)
    assert pattern.search(tail), (section, key)
    return head + mark + pattern.sub("" if value is None else f"{key} = {value}\n", tail, count=1)


def line_of(text, section, key):
    lines = text.splitlines()
    start = lines.index(f"[{section}]")
    return next(i for i, line in enumerate(lines, 1) if i > start and line.startswith(key))


def test_every_reduce_file_of_the_pipeline_is_read(peer, golden):
    files = [*peer.glob("*.red"), *(golden / "ultracam").glob("*.red")]
    assert len(files) > 40
    for file in files:
        assert read_reduce_file(file).text("general", "version") == "20230222"


def test_comments_and_blank_lines_say_nothing():
    text = "# a comment\n\n[general]\n  # another\nversion = 20230222 # must be compatible\n"
    with pytest.raises(BadInput) as caught:
        loads(text)  # nothing but the version stands there
    assert caught.value.place == "[general] instrument"


def test_repeated_keys_keep_all_values_in_order(good):
    file = loads(good)
    assert [entry.text.split()[0] for entry in file.entries("general", "warn")] == ["1", "2", "3", "4", "5"]


def test_another_version_is_refused_with_a_hint(good):
    with pytest.raises(BadInput) as caught:
        loads(good.replace("version = 20230222", "version = 20200318"), file="old.red")
    assert "20200318" in str(caught.value)
    assert "rupdate" in caught.value.remedy
    assert caught.value.file == "old.red"


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("general", "scale", "0", "above 0"),
        ("general", "scale", "UNKNOWN", "a number was expected"),
        ("general", "toffset", "0.5", "a whole number"),
        ("general", "skipbadt", "maybe", "yes or no"),
        ("general", "warn", "1 50000", "a CCD and two levels"),
        ("general", "warn", "1 many 64000", "in place of 'many'"),
        ("general", "ncpu", "0", "at least 1"),
        ("apertures", "location", "moving", "fixed or variable"),
        ("apertures", "fit_method", "lorentz", "moffat or gaussian"),
        ("apertures", "fit_alpha", "0", "above 0"),
        ("apertures", "fit_alpha", "1.5", "at most 1"),
        ("apertures", "fit_thresh", "1", "above 1"),
        ("apertures", "search_smooth_fft", "", "yes or no"),
        ("extraction", "1", "variable normal 1 2 3", "nine numbers"),
        ("extraction", "1", "sometimes normal 1 2 3 4 5 6 7 8 9", "'variable|fixed normal|optimal'"),
        ("extraction", "1", "variable normal 1 2 3 4 five 6 7 8 9", "in place of 'five'"),
        ("psf_photom", "gfac", "-1", "above 0"),
        ("psf_photom", "use_psf", "perhaps", "yes or no"),
        ("sky", "method", "mode", "clipped or median"),
        ("sky", "method", "median", "photon was expected"),
        ("calibration", "crop", "2", "yes or no"),
        ("lcplot", "extend_x", "0", "above 0"),
        ("light", "linear", "log", "yes or no"),
        ("position", "x_min", "9", "below x_max"),
        ("transmission", "ymax", "99", "at least 100"),
        ("seeing", "ymax", "0", "above 0"),
        ("focal_mask", "dthresh", "much", "a number"),
        ("monitor", "1", "NO_SKY NO_LUCK", "NO_LUCK is none"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_section_and_line(section, key, value, said, good):
    text = with_value(good, section, key, value)
    with pytest.raises(BadInput) as caught:
        loads(text, file="my.red")
    assert said in str(caught.value)
    assert caught.value.file == "my.red"
    named = "error" if (section, value) == ("sky", "median") else key
    assert caught.value.place == f"[{section}] {named}, line {line_of(text, section, named)}"
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("section", "key"), [("general", "ngroup"), ("apertures", "fit_diff"), ("sky", "thresh"), ("light", "y2")]
)
def test_a_missing_key_is_refused(section, key, good):
    with pytest.raises(BadInput) as caught:
        loads(with_value(good, section, key, None))
    assert caught.value.place == f"[{section}] {key}"
    assert key in caught.value.remedy


@pytest.mark.parametrize("section", ["psf_photom", "focal_mask", "monitor", "lcplot", "light", "sky"])
def test_a_missing_section_is_refused(section, good):
    head, _, tail = good.partition(f"[{section}]")
    rest = tail[tail.index("\n[") :] if "\n[" in tail else ""
    with pytest.raises(BadInput) as caught:
        loads(head + rest)
    assert f"[{section}]" in str(caught.value)


@pytest.mark.parametrize("section", ["position", "transmission", "seeing"])
def test_plot_sections_that_may_be_absent_may_be_absent(section, good, apertures):
    head, _, tail = good.partition(f"[{section}]")
    loads(head + tail[tail.index("\n[") :], apertures)


@pytest.mark.parametrize(("key", "present"), [("warn", False), ("fit_fwhm_max", False), ("use_psf", False)])
def test_keys_that_may_be_absent_may_be_absent(key, present, good):
    file = loads(re.sub(rf"^{key}\s*=.*\n", "", good, flags=re.MULTILINE))
    assert not any(key in section for section in file.sections.values())


def test_fringe_parameters_count_only_with_a_fringe_map(good):
    without = with_value(with_value(good, "calibration", "nhalf", "many"), "calibration", "fpair", None)
    loads(without)
    with pytest.raises(BadInput, match="fpair is missing"):
        loads(with_value(without, "calibration", "fmap", "map"))


@pytest.mark.parametrize(
    ("section", "line", "said"),
    [
        ("light", "9 1 2 0 1 blue !", "a CCD of the aperture file"),
        ("light", "1 9 2 0 1 blue !", "an aperture of CCD 1"),
        ("light", "1 1 9 0 1 blue !", "an aperture of CCD 1"),
        ("light", "1 1 2 0 blue !", "ccd targ comp off fac"),
        ("light", "1 1 2 zero 1 blue !", "in place of 'zero'"),
        ("light", "1 ! 2 0 1 blue !", "an aperture of CCD 1"),
        ("seeing", "1 9 blue !", "an aperture of CCD 1"),
    ],
)
def test_plot_lines_must_name_what_exists(section, line, said, good, apertures):
    with pytest.raises(BadInput, match=said):
        loads(with_value(good, section, "plot", line), apertures)


def test_a_plot_needs_no_comparison(good, apertures):
    loads(with_value(good, "light", "plot", "1 1 ! 0 1 blue !"), apertures)


def test_a_plotted_ccd_needs_an_extraction_line(good, apertures):
    with pytest.raises(BadInput, match="a CCD with an extraction line"):
        loads(with_value(good, "extraction", "3", None), apertures)


@pytest.mark.parametrize(("text", "line"), [("lost = 1\n", 1), ("[general]\nno equals sign\n", 2)])
def test_lines_that_belong_nowhere_are_refused(text, line):
    with pytest.raises(BadInput) as caught:
        loads(text)
    assert caught.value.place == f"line {line}"


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        read_reduce_file(tmp_path / "none.red")


@pytest.mark.parametrize("value", ["inf", "nan", "1e400", "9" * 400, "9" * 5000])
@pytest.mark.parametrize(("section", "key"), [("general", "scale"), ("calibration", "gain"), ("general", "toffset")])
def test_numbers_that_are_not_finite_are_refused_in_a_short_message(section, key, value, good):
    with pytest.raises(BadInput) as error:
        Recipe.from_reduce_file(loads(with_value(good, section, key, value)))
    assert f"[{section}] {key}, line" in error.value.place
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("value", ["inf", "nan", "1e400"])
def test_radii_that_are_not_finite_are_refused(value, good):
    with pytest.raises(BadInput, match=f"a number was expected in place of '{value}'"):
        loads(with_value(good, "extraction", "2", f"variable normal 1.8 4.0 {value} 2.5 13.0 13.0 3.0 20.0 20.0"))


def test_a_line_with_a_control_character_is_refused(good):
    with pytest.raises(BadInput, match="a character that is no text"):
        loads(with_value(good, "general", "instrument", "hiper\x07cam"))
