import pytest

from roque.instruments import cameras, load_camera
from roque.photometry.recipe import Recipe
from roque.photometry.reduce_file import read_reduce_file
from roque.photometry.typical import differences, flat, following, typical_recipe

HIPERCAM = load_camera("hipercam")


@pytest.mark.parametrize("name", sorted(cameras()))
def test_every_camera_has_a_recipe_before_a_run_is_seen(name):
    camera = load_camera(name)
    recipe = typical_recipe(camera)
    assert set(recipe.extraction) == set(camera.detectors)
    assert recipe.apertures.fit_fwhm == pytest.approx(max(1.5, camera.seeing / camera.pixel_scale))


def test_lengths_follow_the_run_and_words_do_not():
    names = following(HIPERCAM)
    assert {"apertures.fit_half_width", "apertures.search_half_width", "extraction.*.outer_sky.least"} <= names
    assert not {"apertures.fit_method", "sky.thresh", "extraction.*.method", "detectors.*.gain"} & names


def test_full_names_say_every_parameter_and_are_understood_again():
    recipe = typical_recipe(HIPERCAM)
    told = flat(recipe.to_dict())
    assert told["extraction.*.method"] == "normal"
    assert recipe.changed(told) == recipe


def test_a_parameter_that_differs_between_ccds_is_named_for_each():
    told = flat(typical_recipe(HIPERCAM).changed({"extraction.3.method": "optimal"}).to_dict())
    assert "extraction.*.method" not in told
    assert [told[f"extraction.{ccd}.method"] for ccd in "12345"] == ["normal", "normal", "optimal", "normal", "normal"]


def test_the_typical_recipe_differs_from_itself_only_in_what_follows_the_run():
    assert set(differences(typical_recipe(HIPERCAM), HIPERCAM)) == following(HIPERCAM)


@pytest.mark.parametrize("name", ["A_moffat", "A_photon", "A_optgauss", "B_gauss", "C_fixed"])
def test_a_reduce_file_and_the_changes_it_stands_for_are_the_same_parameters(golden, name):
    told = Recipe.from_reduce_file(read_reduce_file(golden / "hipercam" / "peer" / f"{name}.red"))
    again = typical_recipe(HIPERCAM).changed(differences(told, HIPERCAM))
    for section in ("apertures", "sky", "calibration", "focal_mask", "psf_photom", "trim"):
        assert getattr(again, section) == getattr(told, section)
    assert {ccd: again.extraction[ccd] for ccd in told.extraction} == told.extraction
    assert {ccd: again.detectors[ccd] for ccd in told.detectors} == told.detectors
