"""`roque recipe`: stored parameters of a camera, checked before they are stored."""

import json

import pytest

from roque.instruments import load_camera
from roque.photometry.recipe import Recipe
from roque.photometry.reduce_file import loads, read_reduce_file
from roque.photometry.typical import typical_recipe


def stored(roque, name, camera="hipercam"):
    return json.loads(roque("recipe", "show", name, "--camera", camera, "--json").stdout)


def test_recipes_are_listed(roque):
    found = [json.loads(line) for line in roque("recipe", "list", "--json").stdout.splitlines()]
    assert [(recipe["name"], recipe["version"], recipe["state"]) for recipe in found] == [
        ("bright", 1, "current"),
        ("default", 1, "current"),
    ]
    assert found[0]["parameters"] == {"sky.thresh": 2.5}


def test_a_change_makes_a_new_version_and_keeps_the_old(roque):
    result = roque(
        "recipe", "set", "bright", "--camera", "hipercam", "extraction.*.method=optimal", "apertures.fit_half_width=12"
    )
    assert result.stdout == "hipercam/bright v2\n"
    assert stored(roque, "bright")["parameters"] == {
        "sky.thresh": 2.5, "extraction.*.method": "optimal", "apertures.fit_half_width": 12.0,
    }  # fmt: skip
    assert json.loads(roque("recipe", "show", "bright", "--camera", "hipercam", "--version", 1, "--json").stdout)[
        "parameters"
    ] == {"sky.thresh": 2.5}


def test_the_same_change_again_makes_no_new_version(roque):
    assert roque("recipe", "set", "bright", "--camera", "hipercam", "sky.thresh=2.50").stdout == "hipercam/bright v1\n"


def test_a_change_is_taken_back_by_an_empty_value(roque):
    roque("recipe", "set", "bright", "--camera", "hipercam", "sky.thresh=")
    assert stored(roque, "bright")["parameters"] == {}


@pytest.mark.parametrize("written", ["[1, 1.4,2e0]", "1, 1.4, 2"])
def test_lists_of_numbers_can_be_given(roque, written):
    result = roque("recipe", "set", "bright", "--camera", "hipercam", f"extraction.*.radii={written}")
    assert result.exit_code == 0, result.stderr
    assert stored(roque, "bright")["parameters"]["extraction.*.radii"] == [1.0, 1.4, 2.0]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("extraction.*.radii=[1, 1]", "extraction.1.radii"),
        ("extraction.*.radii=1.4", "extraction.1.radii"),
        ("sky.tresh=3", "sky.tresh"),
        ("sky.thresh=much", "sky.thresh"),
        ("sky.method=mean", "sky.method"),
        ("extraction.9.method=optimal", "extraction.9.method"),
        ("apertures.fit_fwhm_fixed=2", "apertures.fit_fwhm_fixed"),
        ("sky.thresh", "KEY=VALUE"),
    ],
)
def test_a_wrong_parameter_is_wrong_usage_and_changes_nothing(roque, change, named):
    result = roque("recipe", "set", "bright", "--camera", "hipercam", change)
    assert result.exit_code == 2
    assert named in result.stderr
    assert stored(roque, "bright")["version"] == 1


def test_a_recipe_can_be_stored_before_anything_was_reduced(roque, tmp_path):
    home = ["--home", tmp_path / "new"]
    assert "fit_alpha" in roque(*home, "recipe", "show", "--camera", "hipercam").stdout
    assert not (tmp_path / "new").exists()
    assert roque(*home, "recipe", "set", "default", "--camera", "hipercam", "sky.thresh=4").exit_code == 0
    assert "4.0" in roque(*home, "recipe", "show", "--camera", "hipercam").stdout


def test_every_parameter_is_shown_with_what_is_changed(roque):
    page = roque("recipe", "show", "bright", "--camera", "hipercam").stdout.splitlines()
    assert sum(line.startswith("  ") for line in page) > 50
    (changed,) = [line for line in page if "sky.thresh" in line]
    assert changed.split(maxsplit=1)[1] == "2.5  (usually 3.0)"
    (follows,) = [line for line in page if "fit_half_width" in line and "apertures" in line]
    assert "follows the run" in follows


def test_a_recipe_is_written_as_a_reduce_file_that_is_read_again(roque):
    text = roque("recipe", "show", "bright", "--camera", "hipercam", "--red").stdout
    assert Recipe.from_reduce_file(loads(text)).sky.thresh == 2.5


def test_a_reduce_file_becomes_a_recipe_with_its_values(roque, golden):
    file = golden / "hipercam" / "peer" / "A_optgauss.red"
    result = roque("recipe", "import", file, "--camera", "hipercam", "--name", "eclipse")
    assert result.stdout == "hipercam/eclipse v1\n"
    told = Recipe.from_reduce_file(read_reduce_file(file))
    again = typical_recipe(load_camera("hipercam")).changed(stored(roque, "eclipse")["parameters"])
    assert again.apertures == told.apertures
    assert again.sky == told.sky
    assert again.extraction == told.extraction
    assert again.detectors == told.detectors
    assert not again.parity


def test_what_is_no_reduce_file_is_refused_with_its_line(roque, tmp_path):
    (tmp_path / "bad.red").write_text("[general]\nversion = 20181107\n")
    result = roque("recipe", "import", tmp_path / "bad.red", "--camera", "hipercam", "--name", "bad")
    assert result.exit_code == 1
    assert "line 2" in result.stderr


def test_a_name_or_comment_that_could_not_be_kept_is_wrong_usage(roque):
    assert roque("recipe", "set", "../bright", "--camera", "hipercam", "sky.thresh=3").exit_code == 2
    assert roque("recipe", "set", "b" * 65, "--camera", "hipercam", "sky.thresh=3").exit_code == 2
    assert roque("recipe", "set", "bright", "--camera", "hipercam", "--comment", "b" * 201, "sky.thresh=3").exit_code == 2


def test_recipes_and_cameras_that_are_not_there_are_not_found(roque):
    assert roque("recipe", "show", "dark", "--camera", "hipercam").exit_code == 4
    assert roque("recipe", "show", "bright", "--camera", "hipercam", "--version", 7).exit_code == 4
    assert roque("recipe", "set", "bright", "--camera", "hipercan", "sky.thresh=3").exit_code == 4
