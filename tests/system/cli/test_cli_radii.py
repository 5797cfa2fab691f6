"""Further radii of a reduction: judged, drawn, and exported in the place of the recipe's own."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from sqlalchemy import select

from roque.archive.bulk import insert_radii, load_measurements
from roque.archive.models import Reduction
from roque.lightcurves.hlog import Hlog
from roque.photometry.flags import Flag
from roque.photometry.measurements import RADIUS

RUN = "2026-11-01/run0003"
FRAMES, LOST_FRAME = 20, 11
FACTORS = (1.0, 1.4, 2.0)
SHARES = {1.0: 0.6, 1.4: 0.8, 2.0: 1.0}
NOISE = {1.0: 0.01, 1.4: 0.002, 2.0: 0.006}


@pytest.fixture
def swept(filled, tmp_path, monkeypatch):
    """The night, its finished reduction with three radii of which the second has the least noise; work goes on in a folder."""
    rng = np.random.default_rng(2)
    with filled.record.writing() as session:
        reduction = session.scalars(select(Reduction)).unique().one()
        lines = reduction.parameters["extraction"].items()
        lines = {ccd: line | {"radii": list(FACTORS)} for ccd, line in lines}
        reduction.parameters = reduction.parameters | {"extraction": lines}
        rows = load_measurements(session, reduction.id)
        made = np.zeros((len(FACTORS), len(rows)), RADIUS)
        for part, factor in zip(made, FACTORS, strict=True):
            for name in ("ccd", "aperture", "frame", "flag"):
                part[name] = rows[name]
            part["factor"], part["radius"], part["peak"] = factor, 4.5 * factor, 2999
            part["counts"] = rows["counts"] * SHARES[factor] * (1.0 + NOISE[factor] * rng.normal(size=len(rows)))
            part["countse"] = NOISE[factor] * part["counts"]
        insert_radii(session, reduction.run.night.date, reduction.id, made.ravel())
    monkeypatch.chdir(tmp_path)
    return made


def at(swept, factor, ccd, star):
    rows = swept[FACTORS.index(factor)]
    return rows[(rows["ccd"] == ccd) & (rows["aperture"] == star)]


def test_the_best_radius_is_told_with_what_speaks_for_it(roque, swept):
    result = roque("run", "radii", RUN)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["CCD", "RADIUS/FWHM", "SCATTER", "%", "TARGET", "%", "LIGHT"]
    assert [line.split()[:2] for line in lines[1:]] == [[ccd, f"{factor:g}"] for ccd in "12" for factor in FACTORS]
    assert [line.split()[1] for line in lines[1:] if line.endswith("best")] == ["1.4", "1.4"]
    assert "stars 2, 3 against each other" in result.stderr


def test_programs_get_the_same_and_a_picture_can_be_had(roque, swept):
    result = roque("run", "radii", RUN, "--json", "--plot", "radii.png")
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["name"], one["state"], one["ccd"], one["best"]) for one in told] == [
        ("hipercam/2026-11-01/run0003", "done", ccd, 1.4) for ccd in "12"
    ]
    for one in told:
        assert [radius["factor"] for radius in one["radii"]] == list(FACTORS)
        np.testing.assert_allclose([radius["share"] for radius in one["radii"]], [0.6, 0.8, 1.0], atol=0.005)
        assert one["file"] == "radii.png"
    assert Path("radii.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("form", ["ascii", "fits"])
def test_logs_have_the_measurements_of_the_radius(roque, swept, form):
    result = roque("hlog", "export", RUN, "--format", form, "--radius", "1.0")
    assert result.exit_code == 0, result.output
    assert "target radius 1 FWHM on CCD 1" in result.stderr
    log = Hlog.from_ascii("run0003.log") if form == "ascii" else Hlog.from_fits("run0003.fits")
    for ccd in "12":
        for star in "123":
            mine = at(swept, 1.0, ccd, star)
            np.testing.assert_allclose(log[ccd][f"counts_{star}"], mine["counts"], atol=0.06)
            np.testing.assert_allclose(log[ccd][f"sky_{star}"], 120.0)
    assert log["1"]["flag_1"][LOST_FRAME - 1] & Flag.NO_EXTRACTION
    if form == "ascii":
        assert "1 FWHM on CCD 1, 1 FWHM on CCD 2; given" in Path("run0003.log").read_text()


def test_counts_can_be_brought_to_those_of_the_largest_radius(roque, swept):
    result = roque("hlog", "export", RUN, "--format", "fits", "--radius", "best", "--total")
    assert result.exit_code == 0, result.output
    assert "least scatter of the comparison stars" in result.stderr
    log = Hlog.from_fits("run0003.fits")
    level = np.where(np.arange(FRAMES) < FRAMES // 2, 5000.0, 4500.0)
    counts, errors = log["1"]["counts_1"], log["1"]["countse_1"]
    measured = np.isfinite(counts)
    assert measured.sum() == FRAMES - 1
    assert np.abs((counts - level) / errors)[measured].max() < 4.0
    assert abs(np.mean((counts - level)[measured] / level[measured])) < 0.004


def test_light_curves_have_the_radius_that_is_asked_for(roque, swept):
    for radius, factor in (("best", 1.4), ("target", 1.4), ("2", 2.0)):
        result = roque("lightcurve", "export", RUN, "--radius", radius, "--against", "2", "--ccd", "1", "--json")
        assert json.loads(result.stdout)["radius"]["factor"] == {"1": factor, "2": factor}
        with Path("run0003.csv").open() as file:
            ratios = [float(row["ratio"]) for row in csv.DictReader(file)]
        np.testing.assert_allclose(ratios, at(swept, factor, "1", "1")["counts"] / at(swept, factor, "1", "2")["counts"], 1e-8)
    assert roque("lightcurve", "plot", RUN, "--radius", "best").exit_code == 0


def test_a_ccd_that_tells_nothing_keeps_the_radius_of_the_recipe(roque, filled, swept):
    spoilt = swept[swept["ccd"] == "2"]
    spoilt["flag"] = Flag.TARGET_SATURATED
    with filled.record.writing() as session:
        reduction = session.scalars(select(Reduction)).unique().one()
        insert_radii(session, reduction.run.night.date, reduction.id, spoilt)
    result = roque("hlog", "export", RUN, "--format", "fits", "--radius", "best")
    assert result.exit_code == 0, result.output
    assert "CCD 2 keeps the recipe's own radius: there is no comparison star" in result.stderr
    log = Hlog.from_fits("run0003.fits")
    assert log["2"]["counts_2"].tolist() == [10000.0] * FRAMES
    np.testing.assert_allclose(log["1"]["counts_2"], at(swept, 1.4, "1", "2")["counts"], rtol=1e-6)
    result = roque("hlog", "export", RUN, "--format", "fits", "--radius", "best", "--total", "--overwrite")
    assert result.exit_code == 4
    assert "no radius can be chosen: there is no comparison star" in result.stderr


@pytest.mark.parametrize("form", ["parquet", "ecsv"])
def test_tables_can_hold_every_radius(roque, swept, form):
    result = roque("hlog", "export", RUN, "--format", form, "--radius", "all")
    assert result.exit_code == 0, result.output
    path = f"run0003.{form}"
    table = pq.read_table(path).to_pydict() if form == "parquet" else Table.read(path, format="ascii.ecsv")
    rows = np.sort(swept.ravel(), order=("frame", "ccd", "aperture", "factor"))
    for name in ("frame", "ccd", "aperture", "factor", "peak", "flag"):
        assert np.asarray(table[name]).astype(str).tolist() == rows[name].astype(str).tolist()
    for name in ("radius", "counts", "countse"):
        np.testing.assert_array_equal(np.asarray(table[name], float), rows[name])
    assert set(np.asarray(table["sky"], float)) == {120.0}
    assert len(set(np.asarray(table["mjd_frac"], float))) == FRAMES


def test_a_program_that_asks_in_sql_finds_every_radius(roque, swept):
    result = roque(
        "sql", "--json", "SELECT factor, count(*) AS n FROM radii WHERE run = 'run0003' GROUP BY factor ORDER BY factor"
    )
    assert [json.loads(line) for line in result.stdout.splitlines()] == [{"factor": f, "n": 120} for f in FACTORS]


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("hlog", "export", RUN, "--format", "fits", "--radius", "1.7"), "there are 1, 1.4, 2", 4),
        (("hlog", "export", RUN, "--format", "fits", "--radius", "all"), "parquet and ecsv", 2),
        (("hlog", "export", RUN, "--format", "fits", "--radius", "wide"), "'wide' is neither", 2),
        (("hlog", "export", RUN, "--format", "fits", "--total"), "name one with --radius", 2),
        (("lightcurve", "export", RUN, "--radius", "all"), "parquet and ecsv", 2),
    ],
)
def test_what_cannot_be_had_is_said(roque, swept, words, said, code):
    result = roque(*words)
    assert result.exit_code == code
    assert said in " ".join(result.stderr.split())
    assert not list(Path().glob("run0003*"))


@pytest.mark.parametrize(
    "words",
    [
        ("run", "radii", RUN),
        ("lightcurve", "export", RUN, "--radius", "best"),
        ("hlog", "export", RUN, "--format", "ecsv", "--radius", "all"),
    ],
)
def test_without_further_radii_people_are_told_how_to_get_them(roque, filled, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    result = roque(*words)
    assert result.exit_code == 4
    assert "extraction.*.radii=" in result.stderr
    assert not list(Path().glob("run0003*"))
