"""Old reduce files are brought up to date."""

import pytest

from roque.errors import BadInput
from roque.photometry.reduce_file import loads
from roque.photometry.reduce_update import update


def aged(text, version):
    """A file of today as it was in an older version."""
    lines = text.replace("version = 20230222", f"version = {version}", 1).splitlines()
    gone = {
        "20210602": ("use_psf", "psf_model"),
        "20210523": ("instrument",),
        "20200318": ("fmap", "fpair", "nhalf", "rmin", "rmax"),
        "20200223": ("fit_fwhm_max",),
        "20181107": ("skipbadt",),
    }
    names = tuple(name for last, own in gone.items() if version <= last for name in own)
    kept = [line for line in lines if not line.startswith(names)] if names else lines
    if version <= "20200207":
        start = kept.index("[focal_mask]")
        kept[start : start + 3] = []
    return "\n".join(kept) + "\n"


@pytest.fixture
def today(golden):
    return (golden / "hipercam" / "peer" / "A_genred.red").read_text()


@pytest.mark.parametrize("version", ["20181107", "20200207", "20200223", "20200318", "20210523", "20210602"])
def test_files_of_every_version_are_read_after_the_update(today, version):
    old = aged(today, version)
    with pytest.raises(BadInput):
        loads(old)
    made, changes = update(old)
    file = loads(made)
    assert changes
    assert file.number("general", "scale") == 0.081
    assert file.text("apertures", "search_half_width") == loads(today).text("apertures", "search_half_width")


def test_what_is_added_has_the_values_of_old(today):
    file = loads(update(aged(today, "20181107"))[0])
    assert not file.flag("general", "skipbadt")
    assert file.number("apertures", "fit_fwhm_max") == 1000.0
    assert [file.number("calibration", key) for key in ("nhalf", "rmin", "rmax")] == [3.0, -2.0, 1.0]
    assert file.number("focal_mask", "dthresh") == 4.0
    assert file.text("general", "instrument") == "UNKNOWN"


def test_a_file_of_today_stays_as_it_is(today):
    assert update(today) == (today, [])


def test_a_file_without_a_scale_says_so_and_has_to_be_edited(today):
    old = "\n".join(line for line in aged(today, "20200318").splitlines() if not line.startswith("scale"))
    made, _ = update(old)
    assert "scale = UNKNOWN" in made
    with pytest.raises(BadInput, match="scale"):
        loads(made)


@pytest.mark.parametrize("text", ["[general]\nversion = 19990101\n", "nothing\n"])
def test_what_is_of_no_known_version_is_refused(text):
    with pytest.raises(BadInput, match="known are 20181107"):
        update(text, file="old.red")
