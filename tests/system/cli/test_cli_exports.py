"""What leaves: logs, light curves, products, and the way back to raw bytes."""

import csv
import hashlib
import json
import socket
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table
from sqlalchemy import select

from roque.archive.models import Product, Reduction
from roque.lightcurves.hlog import Hlog
from roque.photometry.flags import Flag

RUN = "2026-11-01/run0003"
REDUCTION = "a1b2c3d4e5f6"
FRAMES, BAD_FRAME, LOST_FRAME = 20, 7, 11


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_an_ascii_log_has_the_measurements_and_says_how_they_came_about(roque, here, filled):
    result = roque("hlog", "export", RUN, "--format", "ascii", "--output", "logs")
    assert result.stdout == "logs/run0003.log\n"
    assert f"reduction {REDUCTION}" in result.stderr
    assert "recipe default v1" in result.stderr
    log = Hlog.from_ascii("logs/run0003.log")
    assert list(log) == ["1", "2"]
    assert len(log["1"]) == FRAMES
    assert log["2"]["counts_1"][0] == 5000.0
    assert log["2"]["counts_1"][-1] == 4500.0
    assert np.isnan(log["2"]["counts_1"][LOST_FRAME - 1])
    assert not log["1"]["MJDok"][BAD_FRAME - 1]
    text = Path("logs/run0003.log").read_text()
    for told in ("hipercam/2026-11-01/run0003", REDUCTION, "run0001_bias", "taken 2.9 hours before", "roque 0.1.0"):
        assert told in text


def test_a_fits_log_carries_apertures_recipe_and_provenance(roque, here):
    assert roque("hlog", "export", RUN, "--format", "fits").stdout == "run0003.fits\n"
    assert Hlog.from_fits("run0003.fits")["1"]["counts_2"][3] == 10000.0
    with fits.open("run0003.fits") as hdus:
        assert hdus[0].header["LOGFILE"] == "run0003.log"
        told = json.loads("\n".join(hdus["PROVENANCE"].data["TEXT"]))
        assert told["reduction"] == REDUCTION
        assert [file["file"] for file in told["raw"]] == ["run0003.fits"]
        assert set(told["masters"]) == {"bias", "flat"}
        assert json.loads("\n".join(hdus["APERTURES"].data["TEXT"]))[0] == "hipercam.MccdAper"


@pytest.mark.parametrize(("form", "ending"), [("ascii", "log"), ("fits", "fits"), ("parquet", "parquet"), ("ecsv", "ecsv")])
def test_a_log_that_is_there_is_replaced_only_if_asked(roque, here, form, ending):
    file = Path(f"run0003.{ending}")
    file.write_text("precious")
    result = roque("hlog", "export", RUN, "--format", form)
    assert result.exit_code == 1
    assert "--overwrite" in result.stderr
    assert file.read_text() == "precious"
    assert roque("hlog", "export", RUN, "--format", form, "--overwrite").exit_code == 0
    assert file.stat().st_size > 1000


def test_tables_have_the_measurements_and_say_how_they_came_about(roque, here):
    for form in ("parquet", "ecsv"):
        result = roque("hlog", "export", RUN, "--format", form, "--json")
        assert json.loads(result.stdout)["files"] == [f"run0003.{form}"]
    packed, plain = pq.read_table("run0003.parquet"), Table.read("run0003.ecsv")
    assert packed.num_rows == len(plain) == FRAMES * 2 * 3
    assert packed["counts"].to_numpy().tobytes() == np.asarray(plain["counts"]).tobytes()
    lost = plain[(plain["frame"] == LOST_FRAME) & (plain["aperture"].astype(str) == "1")]
    assert np.isnan(lost["counts"]).all()
    assert lost["flag"].tolist() == [int(Flag.NO_EXTRACTION)] * 2
    for told in (json.loads(packed.schema.metadata[b"provenance"]), plain.meta["provenance"]):
        assert told["reduction"] == REDUCTION
        assert set(told["masters"]) == {"bias", "flat"}
    assert b"hipercam.MccdAper" in packed.schema.metadata[b"apertures"]


def test_columns_are_a_file_for_each_ccd(roque, here):
    result = roque("hlog", "export", RUN, "--format", "columns", "--star", 1, "--against", 3)
    assert result.stdout.split() == ["2026-11-01_run0003_1_1_3.asc", "2026-11-01_run0003_2_1_3.asc"]
    rows = np.loadtxt("2026-11-01_run0003_2_1_3.asc")
    assert rows.shape == (FRAMES, 5)
    assert rows[0, 2] == 0.5
    assert roque("hlog", "export", RUN, "--format", "columns", "--star", 1, "--against", 3).exit_code == 1
    assert roque("hlog", "export", RUN, "--format", "columns", "--star", 1, "--against", 9).exit_code == 4
    assert sorted(path.name for path in here.iterdir()) == sorted(result.stdout.split())


def test_the_same_export_is_the_same_bytes(roque, here):
    for folder in ("a", "b"):
        for form in ("ascii", "fits", "parquet", "ecsv"):
            assert roque("hlog", "export", RUN, "--format", form, "--output", folder).exit_code == 0
        assert roque("lightcurve", "export", RUN, "--output", f"{folder}/curve.csv").exit_code == 0
        assert roque("lightcurve", "plot", RUN, "--output", f"{folder}/curve.png").exit_code == 0
    made = sorted(path.name for path in Path("a").iterdir())
    assert made == ["curve.csv", "curve.png", "run0003.ecsv", "run0003.fits", "run0003.log", "run0003.parquet"]
    for name in made:
        assert (here / "a" / name).read_bytes() == (here / "b" / name).read_bytes()


def test_a_light_curve_of_several_ccds_says_which(roque, here):
    assert roque("lightcurve", "export", RUN).stdout == "run0003.csv\n"
    with open("run0003.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["mjd_mid_utc", "exposure_s", "ratio", "ratio_error", "flags", "airmass", "ccd"]
    assert [row["ccd"] for row in rows] == ["1"] * FRAMES + ["2"] * FRAMES


def test_a_light_curve_of_one_ccd_has_a_row_for_every_frame(roque, here):
    options = ["--star", "target", "--format", "csv", "--ccd", "2", "--output", "curve.csv"]
    assert roque("lightcurve", "export", RUN, *options).exit_code == 0
    with open("curve.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["mjd_mid_utc", "exposure_s", "ratio", "ratio_error", "flags", "airmass"]
    assert len(rows) == FRAMES
    mjd = np.array([float(row["mjd_mid_utc"]) for row in rows])
    assert mjd == pytest.approx(61345.95 + np.arange(FRAMES) * 6 / 86400, abs=1e-9)
    ratio = np.array([float(row["ratio"]) for row in rows])
    # 5000, later 4500, over two stars of 10000
    assert np.isnan(ratio[LOST_FRAME - 1])
    assert np.nanmax(ratio) == pytest.approx(0.25)
    assert ratio[-1] == pytest.approx(0.225)
    assert int(rows[LOST_FRAME - 1]["flags"]) & Flag.NO_EXTRACTION
    assert int(rows[BAD_FRAME - 1]["flags"]) == Flag.BAD_TIME
    # at +67 and at this hour the field of 07:07 stands about 22 degrees high on La Palma, rising
    airmass = np.array([float(row["airmass"]) for row in rows])
    assert airmass[0] == pytest.approx(2.68, abs=0.03)
    assert np.all(np.diff(airmass) < 0)


def test_a_light_curve_may_be_against_one_star(roque, here):
    about = json.loads(roque("lightcurve", "export", RUN, "--star", 2, "--against", 1, "--json").stdout)
    assert about["comparisons"] == {"1": ["1"], "2": ["1"]}
    with open(about["file"], newline="") as file:
        assert float(next(csv.DictReader(file))["ratio"]) == 2.0


@pytest.mark.parametrize(
    "options",
    [["--star", "9"], ["--ccd", "9"], ["--against", "9"], ["--reduction", "ffff"], ["--recipe", "bright"]],
    ids=" ".join,
)
def test_a_light_curve_of_what_is_not_there_is_not_found_and_leaves_nothing(roque, here, options):
    result = roque("lightcurve", "export", RUN, *options)
    assert result.exit_code == 4
    assert result.stdout == ""
    assert list(here.iterdir()) == []


def test_a_run_that_is_not_reduced_has_nothing_to_export(roque, here):
    result = roque("hlog", "export", "run0005", "--format", "ascii")
    assert result.exit_code == 4
    assert "roque run show" in result.stderr


def test_a_plot_is_a_png(roque, here):
    assert roque("lightcurve", "plot", RUN).stdout == "run0003.png\n"
    assert Path("run0003.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_is_not_there_is_named(roque, here):
    result = roque("lightcurve", "export", RUN, "--output", "nowhere/curve.csv")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("roque: nowhere: there is no such folder")


def test_an_older_reduction_is_exported_by_its_id(roque, here, filled):
    with filled.record.writing() as session:
        session.scalars(select(Reduction)).one().state = "superseded"
    assert roque("hlog", "export", RUN, "--format", "ascii").exit_code == 4
    assert roque("hlog", "export", RUN, "--format", "ascii", "--reduction", REDUCTION[:6]).exit_code == 0


def products(roque, *options):
    return [json.loads(line) for line in roque("product", "list", "--json", *options).stdout.splitlines()]


def test_products_are_listed_and_fetched(roque, here, filled):
    (log,) = products(roque, "--run", RUN)
    assert (log["kind"], log["state"]) == ("log", "current")
    target = here / roque("product", "get", log["id"]).stdout.strip()
    assert target.name == Path(log["name"]).name
    assert target.read_bytes() == b"# a log\n"
    assert hashlib.sha256(target.read_bytes()).hexdigest() == log["sha256"]
    assert roque("product", "get", log["id"]).exit_code == 1
    assert roque("product", "get", log["name"], "--overwrite").exit_code == 0
    assert roque("product", "get", target.name, "--output", "-").stdout_bytes == b"# a log\n"
    assert len(products(roque, "--kind", "master")) == 2


def test_a_damaged_product_is_not_handed_out(roque, here, filled):
    (log,) = products(roque, "--run", RUN)
    filled.products.path(log["name"]).write_bytes(b"# a l0g\n")
    result = roque("product", "get", log["id"], "--output", "copy.log")
    assert result.exit_code == 1
    assert "SHA-256" in result.stderr
    assert not (here / "copy.log").exists()


def test_a_superseded_product_is_listed_only_if_asked(roque, filled):
    with filled.record.writing() as session:
        session.scalars(select(Product).where(Product.kind == "log")).one().state = "superseded"
    assert products(roque, "--run", RUN) == []
    assert [product["state"] for product in products(roque, "--run", RUN, "--all")] == ["superseded"]


@pytest.mark.parametrize("name", ["99", "nothing.log", "99999999999999999999", "log/%"])
def test_a_product_that_is_not_there_is_not_found(roque, name):
    assert roque("product", "get", name).exit_code == 4
    assert roque("trace", name).exit_code == 4


def test_a_product_is_traced_to_raw_bytes(roque, filled):
    (log,) = products(roque, "--run", RUN)
    tree = json.loads(roque("trace", log["id"], "--json").stdout)

    def leaves(node):
        return [leaf for source in node["from"] for leaf in leaves(source)] or [node]

    assert {Path(leaf["name"]).name for leaf in leaves(tree) if leaf["kind"] == "raw"} == {
        "run0001.fits", "run0002.fits", "run0003.fits",
    }  # fmt: skip
    assert {leaf["kind"] for leaf in leaves(tree)} == {"raw", "recipe", "apertures"}
    page = roque("trace", log["id"]).stdout
    for told in (log["name"], REDUCTION, "run0001.fits", "hipercam/default v1", "taken 3.6 hours before", "by roque 0.1.0"):
        assert told in page


def test_a_file_is_known_again_by_its_bytes(roque, here, filled):
    (log,) = products(roque, "--run", RUN)
    (here / "renamed.txt").write_bytes(b"# a log\n")
    assert json.loads(roque("trace", "renamed.txt", "--json").stdout)["name"] == log["name"]
    (here / "renamed.txt").write_bytes(b"# another\n")
    result = roque("trace", "renamed.txt")
    assert result.exit_code == 4
    assert "bytes" in result.stderr


def first_light_time(rows):
    """Seconds that BJD(TDB) is ahead of the first MJD(UTC)."""
    return (float(rows[0]["bjd_tdb"]) - 2400000.5 - float(rows[0]["mjd_mid_utc"])) * 86400.0


def test_barycentric_times_stand_in_every_form_of_export_and_say_for_which_position(roque, here):
    position = ["--position", "07:07:42,+67:00:00"]
    for form in ("ascii", "fits", "columns"):
        result = roque("hlog", "export", RUN, "--format", form, *position)
        assert result.exit_code == 0, result.stderr
    about = json.loads(roque("lightcurve", "export", RUN, *position, "--json").stdout)
    assert about["barycentre"]["position"] == "given"
    with open("run0003.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[-4:] == ["airmass", "bjd_tdb", "hjd_utc", "ccd"]
    # seen from the Sun the Earth stands at 39 degrees of longitude then, the star at 102 and 44 degrees of latitude
    assert first_light_time(rows) == pytest.approx(69.184 + 495 * np.cos(np.radians(63)) * np.cos(np.radians(44)), abs=25)
    bjd = np.array([float(row["bjd_tdb"]) for row in rows if row["ccd"] == "2"])
    for log in (Hlog.from_ascii("run0003.log"), Hlog.from_fits("run0003.fits")):
        assert log.cnames["2"][-2:] == ["BJD", "HJD"]
        assert log.apnames["2"] == ["1", "2", "3"]
        assert np.abs(log["2"]["BJD"] - bjd).max() < 1e-9
        assert np.abs((log["2"]["BJD"] - log["2"]["HJD"]) * 86400 - 69.184).max() < 4.5
        assert log["2"]["counts_3"][0] == 10000.0
    columns = np.loadtxt("2026-11-01_run0003_2_1_2.asc")
    assert np.abs(columns[:, 5] - bjd).max() < 1e-9
    assert columns.shape == (FRAMES, 7)
    assert "RA 106.925000, Dec 67.000000, given" in Path("run0003.log").read_text()
    with fits.open("run0003.fits") as hdus:
        told = json.loads("\n".join(hdus["PROVENANCE"].data["TEXT"]))["barycentre"]
    assert (told["ra"], told["dec"], told["height"]) == (pytest.approx(106.925), 67.0, 2326.0)


def test_without_a_position_the_telescopes_pointing_is_taken_and_told(roque, here):
    result = roque("lightcurve", "export", RUN, "--bjd", "--ccd", "1", "-o", "pointed.csv")
    assert "where the telescope pointed" in result.stderr
    assert "--position" in result.stderr
    roque("lightcurve", "export", RUN, "--position", "106.925,67", "--ccd", "1", "-o", "given.csv")
    assert Path("pointed.csv").read_bytes() == Path("given.csv").read_bytes()
    wrong = roque("lightcurve", "export", RUN, "--position", "north", "-o", "wrong.csv")
    assert wrong.exit_code == 1
    assert "RA,DEC" in wrong.stderr
    assert not Path("wrong.csv").exists()


def test_a_run_whose_header_says_no_position_needs_one_for_barycentric_times(roque, here, filled):
    with filled.record.writing() as session:
        session.scalars(select(Reduction)).one().run.header = {}
    result = roque("hlog", "export", RUN, "--format", "fits", "--bjd")
    assert result.exit_code == 1
    assert "say --position RA,DEC" in result.stderr
    assert list(here.iterdir()) == []
    assert roque("hlog", "export", RUN, "--format", "fits", "--position", "10.5,-3").exit_code == 0


def test_no_export_opens_a_socket_to_the_world(roque, here, monkeypatch):
    # PostgreSQL's own library does not open its socket by way of Python
    def refuse(*_args, **_options):
        raise AssertionError("a socket was opened")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    for form in ("ascii", "fits", "columns"):
        assert roque("hlog", "export", RUN, "--format", form, "--bjd").exit_code == 0
    assert roque("lightcurve", "export", RUN, "--bjd").exit_code == 0
