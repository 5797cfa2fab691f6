"""Defect files and frames of bad pixels, laid over windows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from roque.calibration.defects import Defect, defect_masks, read_defects
from roque.errors import BadInput, NotFound
from roque.frames import CCD, Frame, Geometry, Window
from roque.frames.hcm import write_hcm


def frame(*geometries, values=0.0):
    windows = {str(k): Window(g, np.full((g.ny, g.nx), values, np.float32)) for k, g in enumerate(geometries, 1)}
    return Frame({"1": CCD(windows, 100, 80)})


def masks(defects, *geometries, moderate=False):
    notes = []
    made = defect_masks(defects, frame(*geometries), moderate=moderate, notes=notes)
    return made, notes


def places(mask):
    """Column and row of what is bad."""
    return {(int(i), int(j)) for j, i in np.argwhere(mask)}


def test_the_pipelines_defect_file_is_read(golden):
    defects = read_defects(golden / "hipercam" / "peer" / "example.dft")
    assert list(defects) == ["1", "2", "3", "4", "5"]
    assert defects["2"] == [
        Defect(401.0, 150.0, 401.0, 150.0, severe=False),
        Defect(410.0, 130.0, 410.0, 141.0, severe=True),
        Defect(420.0, 161.0, 420.0, 161.0, severe=True),
    ]


def test_defects_hit_the_pixels_they_lie_on():
    defects = {"1": [Defect(15.4, 22.6, 15.4, 22.6, severe=True), Defect(17, 20, 17, 999, severe=True)]}
    g = Geometry(11, 21, 1, 1, 10, 6)
    made, notes = masks(defects, g)
    assert places(made["1", "1"]) == {(4, 2), *((6, j) for j in range(6))}
    assert notes == []


def test_a_binned_pixel_is_bad_with_any_of_its_own():
    defects = {
        "1": [Defect(12, 21, 12, 21, severe=True), Defect(19, 27, 19, 27, severe=True), Defect(10, 30, 10, 30, severe=True)]
    }
    made, _ = masks(defects, Geometry(11, 21, 4, 3, 5, 4))
    assert places(made["1", "1"]) == {(0, 0), (2, 2)}


def test_a_slanted_line_leaves_no_gap():
    made, _ = masks({"1": [Defect(11, 21, 20, 24, severe=True)]}, Geometry(11, 21, 1, 1, 10, 10))
    hit = places(made["1", "1"])
    assert len(hit) == 10
    assert {i for i, _ in hit} == set(range(10))
    assert all(abs(j - i / 3.0) <= 0.5 for i, j in hit)


def test_moderate_defects_count_if_asked_for():
    defects = {"1": [Defect(12, 22, 12, 22, severe=False)]}
    g = Geometry(11, 21, 1, 1, 4, 4)
    assert not masks(defects, g)[0]["1", "1"].any()
    assert places(masks(defects, g, moderate=True)[0]["1", "1"]) == {(1, 1)}


def test_a_ccd_of_which_nothing_is_known_is_told_of():
    made, notes = masks({"2": []}, Geometry(1, 1, 1, 1, 4, 4))
    assert made == {}
    assert notes == ["no bad pixels are known of CCD 1"]


def test_a_frame_marks_what_is_not_zero(tmp_path):
    bad = np.zeros((12, 20), np.float32)
    bad[3, 5], bad[11, 19], bad[8, 8] = 1.0, 7.0, np.nan
    mask = Frame({"1": CCD({"F": Window(Geometry(1, 1, 1, 1, 20, 12), bad)}, 100, 80)})
    write_hcm(tmp_path / "mask.hcm", mask)
    made, _ = masks(read_defects(tmp_path / "mask.hcm"), Geometry(3, 1, 2, 2, 9, 6))
    assert places(made["1", "1"]) == {(1, 1), (8, 5), (3, 4)}
    with pytest.raises(BadInput, match="frame of bad pixels"):
        masks(mask, Geometry(15, 1, 1, 1, 10, 6))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 1"),
        (
            '["hipercam.MccdDefect", ["1", ["hipercam.CcdDefect", ["1", {"Comment": "hipercam.defect.Blob"}]]]]',
            "CCD 1, defect 1",
        ),
        ("[1, 2]", "not a defect file"),
        ("7", "not a defect file"),
    ],
)
def test_what_is_no_defect_file_is_refused(tmp_path, text, said):
    path = tmp_path / "bad.dft"
    path.write_text(text)
    with pytest.raises(BadInput, match=said):
        read_defects(path)


def test_a_defect_on_no_chip_is_refused(tmp_path):
    values = {"Comment": "hipercam.defect.Point", "severity": "SEVERE", "x": 1e300, "y": 3.0}
    path = tmp_path / "far.dft"
    path.write_text(json.dumps(["hipercam.MccdDefect", ["1", ["hipercam.CcdDefect", ["4", values]]]]))
    with pytest.raises(BadInput, match="on no chip"):
        read_defects(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NotFound, match=r"none\.dft"):
        read_defects(tmp_path / "none.dft")
