"""Commands of `roque hcam` in the cases that no line of the golden manifests has."""

from __future__ import annotations

import contextlib
import io
import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from astropy.io import fits

from roque.frames.hcm import read_hcm, write_hcm
from roque.lightcurves.hlog import Hlog
from roque.spool import data_source
from services.cli.main import cli
from tests.support import writer
from tests.support.damage import Raw


@pytest.fixture
def hcam(golden_runs, tmp_path, monkeypatch):
    """Run a command in a folder with the golden files; gives status, output and messages."""
    for path in golden_runs.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)

    def run(*words):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main(["hcam", *words], prog_name="roque")
            except SystemExit as end:
                status = end.code
        return status, out.getvalue(), err.getvalue()

    return run


UNCALIBRATED = ("trim=no", "bias=none", "dark=none", "flat=none", "fmap=none")


def test_grab_takes_frames_of_a_list_and_names_them_after_their_files(hcam, tmp_path):
    (tmp_path / "two.lis").write_text("# two\nrun0008_001\nrun0008_003.hcm\n")
    status, out, _ = hcam("grab", "source=hf", "flist=two", "prefix=new_", *UNCALIBRATED)
    assert (status, out.split()) == (0, ["new_run0008_001.hcm", "new_run0008_003.hcm"])
    ours, theirs = read_hcm("new_run0008_003.hcm"), read_hcm("run0008_003.hcm")
    np.testing.assert_array_equal(ours.ccds["2"].values(), theirs.ccds["2"].values())
    assert ours.ccds["2"].mjd == theirs.ccds["2"].mjd


@pytest.mark.parametrize(
    "words",
    [("grab", *UNCALIBRATED), ("ltimes",), ("mstats", "bias=none"), ("makebias", "output=made"), ("reduce", "rfile=B_nocal")],
)
def test_a_last_frame_before_the_first_is_refused_and_nothing_is_written(hcam, tmp_path, words):
    before = set(tmp_path.iterdir())
    status, out, err = hcam(*words, "run=run0005", "first=3", "last=2", "tmax=0")
    assert (status, out) == (2, "")
    assert "last=2 comes before first=3" in err
    assert set(tmp_path.iterdir()) == before


def test_temporary_frames_are_named_by_a_list_that_combine_reads(hcam):
    status, out, _ = hcam("grab", "temp=yes", "run=run0008", "first=1", "last=3", *UNCALIBRATED)
    assert status == 0
    made = hcam("combine", f"list={out.strip()}", *UNCALIBRATED[1:4], "method=m", "output=mean")
    assert made[0] == 0, made


def test_the_newest_frame_is_numbered_from_zero(hcam):
    status, out, _ = hcam("grab", "run=run0008", "first=0", "last=0", "ndigit=2", "tmax=0", *UNCALIBRATED)
    assert (status, out.split()) == (0, ["run0008_00.hcm"])
    assert read_hcm("run0008_00.hcm").number == 10


def test_the_newest_frames_of_a_run_that_is_being_written_are_waited_for(hcam, golden_runs, tmp_path):
    raw = Raw((golden_runs / "run0008.fits").read_bytes())
    path = tmp_path / "run0099.fits"
    path.write_bytes(raw.data[: raw.header])
    steps = []
    for n in range(raw.frames):
        ends = (raw.header + k * raw.frame for k in (n, n + 1))
        steps += [["append", str(path), str(golden_runs / "run0008.fits"), *ends], ["sleep", 0.4]]
    process = writer.start(tmp_path / "plan", steps)
    status, out, err = hcam("grab", "run=run0099", "first=0", "last=2", "twait=0.02", "tmax=5", *UNCALIBRATED)
    process.kill()
    process.wait()
    assert status == 0, err
    numbers = [read_hcm(tmp_path / name).number for name in out.split()]
    assert out.split() == ["run0099_000.hcm", "run0099_001.hcm", "run0099_002.hcm"]
    assert numbers == sorted(set(numbers))
    path.write_bytes(raw.data[: raw.header])
    assert hcam("grab", "run=run0099", "first=0", "twait=0.02", "tmax=0.1", *UNCALIBRATED)[0] == 4  # there is none


def test_unsigned_words_hold_what_the_camera_wrote(hcam):
    assert hcam("grab", "run=run0008", "first=1", "last=1", "dtype=u16", *UNCALIBRATED)[0] == 0
    with fits.open("run0008_001.hcm") as hdus:
        assert hdus[1].data.dtype == np.uint16
        hdus.verify("exception")
    words = read_hcm("run0008_001.hcm").ccds["1"].windows["E1"].data
    hcam("grab", "run=run0008", "first=1", "last=1", *UNCALIBRATED)
    np.testing.assert_array_equal(words, read_hcm("run0008_001.hcm").ccds["1"].windows["E1"].data)


def test_counts_that_are_no_unsigned_words_are_refused_with_their_place(hcam):
    status, _, err = hcam("grab", "run=run0008", "first=1", "last=1", "dtype=u16", "bias=bias", "trim=no", *UNCALIBRATED[2:])
    assert status == 1
    assert "CCD 1, window E1: counts outside 0 and 65535" in err


def test_a_run_that_is_too_short_or_missing_ends_with_a_line(hcam):
    assert hcam("grab", "run=run0008", "first=11", *UNCALIBRATED)[::2] == (
        4, "roque: run0008.fits, frame 11: there is no frame 11: the run has 10\n",
    )  # fmt: skip
    assert hcam("ltimes", "run=run0008", "first=11")[0] == 4
    assert hcam("ltimes", "run=nothing")[0] == 4


def test_a_missing_calibration_frame_names_its_parameter(hcam):
    status, _, err = hcam("grab", "run=run0008", "bias=none", "dark=night", "flat=none", "fmap=none")
    assert status == 4
    assert err == "roque: night.hcm, parameter dark: no such file; name one that exists, or say none\n"


def test_what_stands_there_is_replaced_only_where_the_command_says_so(hcam, tmp_path):
    words = ("averun", "run=run0008", "last=3", *UNCALIBRATED, "output=stars")
    assert hcam(*words)[0] == 0
    status, _, err = hcam(*words)
    assert status == 1
    assert "clobber=yes" in err
    assert hcam(*words, "clobber=yes")[0] == 0
    (tmp_path / "files.lis").write_text("")
    assert "names no file" in hcam("combine", *UNCALIBRATED[1:4], "output=new")[2]


@pytest.mark.parametrize("command", ["stats", "hinfo", "ltimes", "redanal"])
def test_listings_can_be_had_as_json(hcam, command):
    words = {"stats": ["bias"], "hinfo": ["bias"], "ltimes": ["run=run0009"], "redanal": ["A", "A_moffat"]}[command]
    status, out, _ = hcam(command, *words, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert len(rows) == {"stats": 20, "hinfo": 1, "ltimes": 40, "redanal": 25}[command]


def test_hinfo_tells_times_windows_and_counts(hcam):
    _, out, _ = hcam("hinfo", "run0008_001")
    assert "file run0008_001.hcm: 5 CCDs" in out
    assert "  OBJECT   Small\n" in out
    assert "  window E1: 32 x 24 pixels from (396, 151), binned 1 x 1, float32, from the lower left:\n" in out
    assert "-2.65601" in out
    ccd = read_hcm("run0008_001.hcm").ccds["3"]
    middle = np.datetime64("1858-11-17") + np.timedelta64(round(ccd.mjd * 86400e3), "ms")
    assert f"  middle of the exposure {str(middle)[:21]}" in out
    assert f"MJD {ccd.mjd:.10f}" in out
    assert "CCD 3: 2048 x 1024 pixels" in out


def test_hinfo_tells_a_single_ccd_without_a_time_and_with_double_precision(hcam):
    unit = fits.PrimaryHDU(np.full((3, 5), 1 / 3), fits.Header({"HIPERCAM": "CCD", "NUMCCD": 1, "OBJECT": "Single"}))
    unit.header.update({"CCD": "2", "LLX": 7, "LLY": 9, "XBIN": 2, "YBIN": 3, "NXTOT": 64, "NYTOT": 32})
    unit.writeto("single.hcm")
    status, out, _ = hcam("hinfo", "single")
    assert status == 0
    assert "file single.hcm: 1 CCD\n" in out
    assert "  OBJECT   Single\n" in out
    assert "CCD 2: 64 x 32 pixels, data\n  no time, exposure 1 s\n" in out
    assert "  window 1: 5 x 3 pixels from (7, 9), binned 2 x 3, float64" in out


def test_a_reduction_is_the_same_in_any_ranges_and_repeats_its_reduce_file(hcam, monkeypatch):
    words = ("reduce", "run=run0004", "last=25", "trim=no", "rfile=A_gauss", "lplot=no", "implot=no")
    assert hcam(*words, "log=whole")[0] == 0
    monkeypatch.setattr("services.cli.hcam.reduce._RANGE", 7)
    assert hcam(*words, "log=parts")[0] == 0
    whole, parts = Hlog.from_ascii("whole.log"), Hlog.from_ascii("parts.log")
    assert {ccd: table.tobytes() for ccd, table in whole.items()} == {ccd: table.tobytes() for ccd, table in parts.items()}
    assert "# run    = run0004" in whole.comments
    assert any(line.startswith("#   fit_method = gaussian") for line in whole.comments)


def test_a_parallel_reduction_is_logged_group_by_group_and_ccd_by_ccd(hcam):
    assert hcam("reduce", "run=run0004", "last=14", "trim=no", "rfile=A_ncpu2", "log=x", "lplot=no", "implot=no")[0] == 0
    with open("x.log") as log:
        order = [tuple(line.split()[:2]) for line in log if not line.startswith("#")]
    assert order == [(c, str(f)) for group in (range(1, 8), range(8, 15)) for c in "12345" for f in group]


def changed(file, line):
    """Text of a reduce file in which a line is another."""
    key = line.split(" = ")[0]
    return "\n".join(line if row.startswith(f"{key} =") else row for row in file.read_text().splitlines()) + "\n"


def test_fluxes_may_come_from_profile_fits(hcam, tmp_path):
    """The HiPERCAM pipeline itself cannot do that any more: its own fluxes of apertures are what there is to compare."""
    by = {}
    for name, use in (("aperture", "no"), ("psf", "yes")):
        (tmp_path / f"{name}.red").write_text(changed(tmp_path / "A_moffat.red", f"use_psf = {use}"))
        words = ("run=run0004", "last=5", "trim=no", f"rfile={name}", f"log={name}", "lplot=no", "implot=no")
        assert hcam("reduce", *words)[0] == 0
        by[name] = Hlog.from_ascii(tmp_path / f"{name}.log")
    for ccd in by["aperture"]:
        fitted, summed = by["psf"][ccd], by["aperture"][ccd]
        outside = 0.15 * summed["counts_1"]  # light that the aperture leaves out
        assert np.all(np.abs(fitted["counts_1"] - summed["counts_1"]) < outside + 4.0 * summed["countse_1"]), ccd
        assert np.all(fitted["countse_1"] < 1.2 * summed["countse_1"])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("version = 20200318", "rupdate"),
        ("gain = 0", "positive"),
        ("aperfile = no", "no.ape"),
    ],
)
def test_a_reduce_file_that_cannot_be_followed_is_refused(hcam, tmp_path, line, problem):
    (tmp_path / "bad.red").write_text(changed(tmp_path / "A_moffat.red", line))
    status, _, err = hcam("reduce", "run=run0004", "trim=no", "rfile=bad", "log=x", "lplot=no", "implot=no")
    assert status in (1, 4)
    assert problem in err
    assert not (tmp_path / "x.log").exists()


def test_plog_draws_into_a_file_and_says_so_where_there_is_no_screen(hcam, tmp_path):
    assert hcam("plog", "A_moffat", "device=p.png", "aper1=1", "aper2=2", "scheme=r")[0] == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    status, _, err = hcam("plog", "A_moffat")
    assert status == 1
    assert "no screen" in err


def test_rupdate_leaves_a_file_of_today_alone_and_brings_an_old_one_up_to_date(hcam, tmp_path):
    before = (tmp_path / "A_moffat.red").read_text()
    assert "up to date" in hcam("rupdate", "A_moffat")[2]
    assert (tmp_path / "A_moffat.red").read_text() == before
    lines = [line for line in before.splitlines() if not line.startswith(("use_psf", "psf_model", "instrument"))]
    (tmp_path / "old.red").write_text("\n".join(lines).replace("version = 20230222", "version = 20210523"))
    assert hcam("rupdate", "old")[0] == 0
    assert hcam("reduce", "run=run0004", "last=2", "trim=no", "rfile=old", "log=x", "lplot=no", "implot=no")[0] == 0


LISTING = b'<a href="run002">run002</a><br>\n<a href="x">n</a>\n<a href="run005">run005</a><br>\nrun0002\nrun0001\nrun00011\n'


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/?action=dir" else 404)
            self.end_headers()
            self.wfile.write(LISTING)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"127.0.0.1:{http.server_address[1]}/"
        http.shutdown()
        thread.join()


def test_runs_on_both_file_servers_are_listed(hcam, server, monkeypatch):
    monkeypatch.setenv("HIPERCAM_DEFAULT_URL", server)
    monkeypatch.setenv("ULTRACAM_DEFAULT_URL", f"http://{server}")
    assert hcam("hls")[:2] == (0, "run0001\nrun0002\n")
    assert hcam("uls")[:2] == (0, "run002\nrun005\n")


@pytest.mark.parametrize("command", ["ltimes", "grab", "mstats", "averun"])
def test_a_run_that_switched_the_power_is_told_from_one_that_is_too_short(hcam, golden, command):
    status, _, err = hcam(*command.split(), "source=ul", f"run={golden / 'ultracam' / 'run009'}")
    assert (status, "switched the power of the CCDs" in err) == (1, True), err


def test_a_server_that_is_not_there_stalls_or_errs_is_told_within_its_second(hcam, server, monkeypatch):
    monkeypatch.setenv("HIPERCAM_DEFAULT_URL", f"{server}nowhere")
    assert hcam("hls")[0] == 1
    monkeypatch.setenv("ULTRACAM_DEFAULT_URL", server)
    status, _, err = hcam("uls")
    assert status == 1
    assert "http://localhost:8007/" in err
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler, bind_and_activate=True) as silent:
        monkeypatch.setenv("HIPERCAM_DEFAULT_URL", f"127.0.0.1:{silent.server_address[1]}/")
        assert hcam("hls")[0] == 3
    assert hcam("hls")[0] == 3


def test_the_first_frame_0_of_ltimes_is_the_newest_and_the_last_ends_json_too(hcam):
    rows = [json.loads(line) for line in hcam("ltimes", "run=run0008", "first=2", "last=3", "--json")[1].splitlines()]
    assert [row["frame"] for row in rows] == [2] * 5 + [3] * 5
    assert [line.split()[0] for line in hcam("ltimes", "run=run0008", "first=0")[1].splitlines()] == ["10"]


ORIGINS = {"HICKS": "hicks", "PT5M": "pt5m", "ROSA": "rosa", "INTWFC": "intwfc", "LTIO": "ltio", "LTRISE": "ltrise"}
ORIGINS |= {"LCOGT": "lcogt", "WHTCAM": "whtcam", "OSIRIS+": "osirisplus"}


@pytest.mark.parametrize("origin", ORIGINS)
def test_fits2hcm_writes_every_keyword_of_the_pipelines_files(hcam, golden, tmp_path, origin):
    folder = golden / "foreign" / ORIGINS[origin]
    names = [path.stem for path in sorted((folder / "raw").iterdir())]
    for name in names:
        (tmp_path / f"{name}.fits").symlink_to(folder / "raw" / f"{name}.fits")
    (tmp_path / "files.lis").write_text("\n".join(names))  # extensions may be left out
    assert hcam("fits2hcm", "files", origin)[0] == 0
    for name in names:
        with fits.open(f"{name}.hcm") as ours, fits.open(folder / f"{name}.hcm") as theirs:
            # BITPIX and what goes with it say how counts are stored
            left_out = {"BITPIX", "BSCALE", "BZERO", "EXTNAME"} | ({"LLX", "LLY"} if origin == "INTWFC" else set())
            for index, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
                if origin == "LTRISE" and index == 0:
                    left_out |= {"MJDINT", "MJDFRAC"}  # they stand with the CCD here
                wanted = {k: v for k, v in other.header.items() if k not in left_out}
                assert {k: mine.header.get(k) for k in wanted if isinstance(wanted[k], str | int)} == {
                    k: v for k, v in wanted.items() if isinstance(v, str | int)
                }
                for key, value in wanted.items():
                    assert not isinstance(value, float) or mine.header[key] == pytest.approx(value, abs=4e-11, rel=1e-15)
            assert "MJDINT" in ours[1].header


def test_fits2hcm_replaces_files_only_where_it_may(hcam, golden, tmp_path):
    raw = golden / "foreign" / "rosa" / "raw" / "rosa_1.fits"
    (tmp_path / "files.lis").write_text(f"{raw}\n")
    assert hcam("fits2hcm", "files", "ROSA", "overwrite=no")[0] == 0
    status, _, err = hcam("fits2hcm", "files", "ROSA", "overwrite=no")
    assert status == 1
    assert "rosa_1.hcm: the file exists already" in err
    status, _, err = hcam("fits2hcm", "files", "LTIO")
    assert status == 1
    assert "keyword CCDWXOFF is missing" in err


def test_a_reduce_file_may_name_frames_of_read_noise_and_gain(hcam, tmp_path):
    flat = read_hcm("flat.hcm")
    for name, value in (("noise", 4.2), ("gains", 1.1)):
        write_hcm(tmp_path / f"{name}.hcm", flat.map(lambda _c, _l, w, v=value: np.full(w.data.shape, v, np.float32)))
    text = (tmp_path / "A_gauss.red").read_text()
    (tmp_path / "framed.red").write_text(text.replace("readout = 4.2", "readout = noise").replace("gain = 1.1", "gain = gains"))
    rows = {}
    for rfile in ("A_gauss", "framed"):
        words = ("run=run0004", "first=1", "last=5", "trim=no", f"rfile={rfile}", f"log={rfile}_5")
        assert hcam("reduce", *words)[0] == 0
        rows[rfile] = [line for line in (tmp_path / f"{rfile}_5.log").read_text().splitlines() if not line.startswith("#")]
    assert len(rows["framed"]) > 20
    assert rows["framed"] == rows["A_gauss"]
    (tmp_path / "gains.hcm").unlink()
    status, _, err = hcam("reduce", *words)
    assert status != 0
    assert "gains.hcm" in err


def test_a_reduce_file_may_name_bad_pixels(hcam, tmp_path):
    with data_source("hl", "run0004.fits") as source:
        frame = source.frame(1)
    write_hcm(tmp_path / "bad.hcm", frame.map(lambda _c, _l, w: np.ones(w.data.shape, np.float32)))
    text = (tmp_path / "A_gauss.red").read_text()
    (tmp_path / "masked.red").write_text(f"{text}\n[pixels]\ndefects = bad.hcm\n")
    assert hcam("reduce", "run=run0004", "first=1", "last=2", "trim=no", "rfile=masked", "log=masked")[0] == 0
    log = Hlog.from_ascii("masked.log")
    for table in log.values():
        for name in table.dtype.names:
            assert not name.startswith("counts_") or np.isnan(table[name]).all()
