"""`roque lightcurve detrend` and `roque target`: products of their own, positions kept for all runs of an object."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from sqlalchemy import select

from roque.archive.bulk import load_measurements
from roque.archive.models import Measurement, Product, Run
from roque.lightcurves.detrend_files import read_ecsv

RUN = "hipercam/2026-11-01/run0003"
FRAMES, LOST_FRAME = 20, 11


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def drifting(filled):
    """The target's flux follows where it is; nothing else is in the record."""
    table = Measurement.__table__
    with filled.record.writing() as session:
        for frame in range(1, FRAMES + 1):
            x = 430.0 + (frame * 7 % 11) / 10.0
            change = table.update().where(table.c.aperture == "1", table.c.frame == frame)
            session.execute(change.values(x=x, counts=None if frame == LOST_FRAME else 5000.0 * (1.0 + 0.05 * (x - 430.5))))
    return filled


def test_a_trend_is_divided_out_and_the_light_curve_stays(roque, here, drifting):
    result = roque("lightcurve", "detrend", RUN, "--against", "x", "--plot", "both.png", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["files"] == ["run0003_detrended.csv", "both.png"]
    assert Path("both.png").stat().st_size > 10_000
    trend = told["trends"]["2"]
    assert [term["name"] for term in trend["terms"]] == ["x"]
    assert trend["points"] == FRAMES - 2  # a bad time, and the lost one
    assert trend["scatter_raw"] > 0.01
    assert trend["scatter_detrended"] < 1e-6
    table = Table.read("run0003_detrended.csv")
    good = np.isfinite(np.ma.filled(table["ratio"].astype(float), np.nan))
    assert good.sum() == 2 * (FRAMES - 1)
    np.testing.assert_allclose((table["detrended"] * table["trend"])[good], table["ratio"][good], rtol=3e-16)
    # the light curve itself is what it was
    assert roque("lightcurve", "export", RUN).exit_code == 0
    raw = Table.read("run0003.csv")
    np.testing.assert_allclose(raw["ratio"][good], table["ratio"][good], rtol=1e-8)
    with drifting.record.reading() as session:
        assert len(load_measurements(session, 1)) == FRAMES * 2 * 3


def test_it_is_a_product_that_leads_back_to_raw_bytes(roque, here, drifting):
    told = json.loads(
        roque("lightcurve", "detrend", RUN, "--against", "x,y", "--exclude", "61345.95..61345.9501", "--json").stdout
    )
    again = json.loads(
        roque("lightcurve", "detrend", RUN, "--against", "x,y", "--exclude", "61345.95..61345.9501", "--json").stdout
    )
    assert told["products"] == again["products"]  # the same bytes are the same product
    uri = told["products"][0]
    kept = read_ecsv(drifting.products.path(uri))
    assert kept["2"][1].to_dict() == {key: told["trends"]["2"][key] for key in kept["2"][1].to_dict()}
    assert kept["2"][0]["fitted"].sum() == told["trends"]["2"]["points"]
    about = Table.read(drifting.products.path(uri)).meta
    assert about["provenance"]["reduction"] == drifting.reduction
    assert about["asked"]["exclude"] == [[61345.95, 61345.9501]]
    tree = json.loads(roque("trace", uri, "--json").stdout)
    assert tree["what"] == "detrended"
    assert tree["from"][0]["kind"] == "reduction"
    assert any(leaf["kind"] == "raw" and leaf["sha256"] for leaf in tree["from"][0]["from"])
    with drifting.record.reading() as session:
        kinds = session.scalars(select(Product.kind).where(Product.reduction_id == 1)).all()
    assert sorted(kinds) == ["detrended", "detrended_plot", "log"]


def test_people_read_what_each_term_is_worth(roque, here, drifting):
    result = roque("lightcurve", "detrend", RUN, "--against", "x,y", "--ccd", 2)
    assert "BIC WITHOUT" in result.stdout
    assert "y" in result.stdout
    assert "does not change" in result.stdout
    assert "CCD 2: scatter" in result.stderr
    assert "kept as product" in result.stderr
    for form in ("ecsv", "fits"):
        assert roque("lightcurve", "detrend", RUN, "--against", "x", "--format", form).exit_code == 0
    assert read_ecsv(Path("run0003_detrended.ecsv"))["1"][1].terms[0].name == "x"


def test_what_cannot_be_is_refused_with_a_remedy(roque, here, drifting):
    many = roque("lightcurve", "detrend", RUN, "--against", "x,fwhm,sky,time,time^2")
    assert many.exit_code == 1
    assert "too few" in many.stderr
    assert "CCD 1" in many.stderr
    assert roque("lightcurve", "detrend", RUN, "--against", "moon").exit_code == 4
    phases = roque("lightcurve", "detrend", RUN, "--against", "x", "--mask-phase=-0.1..0.1")
    assert phases.exit_code == 1
    assert "--ephemeris" in phases.stderr
    for words in (["--exclude", "61345"], ["--ephemeris", "2"], ["--clip", "1"]):
        assert roque("lightcurve", "detrend", RUN, *words).exit_code == 2
    assert list(here.iterdir()) == []


def test_phases_leave_out_what_an_ephemeris_says(roque, here, drifting):
    period = 6.0 * FRAMES / 86400.0
    words = ("--against", "x", "--ephemeris", f"2461346.0,{period}", "--mask-phase", "0.2..0.4", "--json")
    told = json.loads(roque("lightcurve", "detrend", RUN, *words).stdout)
    assert FRAMES - 2 - 5 <= told["trends"]["1"]["points"] <= FRAMES - 2 - 3


def test_errors_have_scintillation_in_them_if_asked(roque, here):
    for words, name in (([], "without.csv"), (["--scintillation"], "with.csv")):
        assert roque("lightcurve", "export", RUN, *words, "-o", name).exit_code == 0
    plain, more = Table.read("without.csv"), Table.read("with.csv")
    good = np.isfinite(np.ma.filled(plain["ratio"].astype(float), np.nan))
    assert (more["ratio_error"][good] > plain["ratio_error"][good]).all()


# positions


def without_pointing(filled):
    with filled.record.writing() as session:
        for run in session.scalars(select(Run)).unique():
            run.header = {}


def test_a_position_that_is_kept_is_that_of_every_run_of_the_object(roque, here, filled):
    without_pointing(filled)
    refused = roque("lightcurve", "export", RUN, "--bjd")
    assert refused.exit_code == 1
    assert "roque target set 'HS 0705+6700'" in refused.stderr
    assert roque("lightcurve", "detrend", RUN, "--against", "airmass").exit_code == 1
    said = roque("target", "set", "hs0705+6700", "07:07:42,+67:00:00", "--json")
    assert json.loads(said.stdout)["runs"] == 2
    told = json.loads(roque("lightcurve", "export", RUN, "--bjd", "--json").stdout)
    assert told["barycentre"]["position"] == "target hs0705+6700 of the record"
    assert told["barycentre"]["ra"] == pytest.approx(106.925)
    table = Table.read("run0003.csv")
    assert np.isfinite(table["airmass"]).all()
    assert np.isfinite(table["bjd_tdb"]).all()
    assert roque("lightcurve", "detrend", RUN, "--against", "airmass").exit_code == 0


def test_the_record_goes_before_the_header_and_what_is_typed_before_both(roque, here, filled):
    def position(*words):
        return json.loads(roque("lightcurve", "export", RUN, *words, "--bjd", "--json").stdout)["barycentre"]

    assert position()["position"] == "where the telescope pointed"
    roque("target", "set", "HS 0705+6700", "106.9,67.1")
    assert (position()["ra"], position()["dec"]) == (106.9, 67.1)
    given = position("--position", "107.0,66.0")
    assert (given["ra"], given["position"]) == (107.0, "given")
    assert roque("target", "forget", "hs_0705+6700").stdout == "HS 0705+6700\n"
    assert position()["position"] == "where the telescope pointed"


def test_targets_are_listed_and_may_be_said_anew(roque, here):
    for place in ("1.0,2.0", "106.9,-67.1"):
        assert roque("target", "set", "HS 0705+6700", place).exit_code == 0
    listed = json.loads(roque("target", "list", "--json").stdout)
    assert (listed["name"], listed["ra"], listed["dec"], listed["runs"]) == ("HS 0705+6700", 106.9, -67.1, 2)
    assert "-67.100000" in roque("target", "list").stdout
    assert roque("target", "set", "HS 0705+6700", "north").exit_code == 1
    assert roque("target", "set", " ", "1,2").exit_code == 1
    assert roque("target", "forget", "nobody").exit_code == 4
