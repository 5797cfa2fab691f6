"""hcm files: what is written is read again, by us and by astropy; damage is named."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from roque.errors import BadInput, Conflict, NotFound
from roque.frames import CCD, Box, Frame, Geometry, Window
from roque.frames.hcm import read_hcm, scan_hcm, write_hcm
from roque.frames.images import FitsFile


@pytest.fixture
def frame() -> Frame:
    rng = np.random.default_rng(3)
    ccds = {}
    for label in ("1", "2", "3", "red"):
        windows = {
            "E1": Window(Geometry(11, 21, 2, 4, 30, 20), rng.normal(1000, 5, (20, 30)).astype(np.float32), "LL"),
            "F1": Window(Geometry(-49, 1, 1, 1, 7, 3), rng.normal(1000, 5, (3, 7)), "LR"),
        }
        ccds[label] = CCD(
            windows, 2048, 1024, 50, 8, 61113, 0.25, 1.5, time_ok=False, data_ok=label != "2", header={"NCYCLE": 3}
        )
    return Frame(ccds, 17, {"TIMSTAMP": "2026-03-14T23:59:40.125000000", "OBJECT": "it's", "HISTORY": ["made"]})


def same(one: Frame, other: Frame) -> None:
    assert list(one.ccds) == list(other.ccds)
    assert one.number == other.number
    for label, ccd in one.ccds.items():
        twin = other.ccds[label]
        for name in ("nxtot", "nytot", "nxpad", "nypad", "mjd_int", "mjd_frac", "exposure", "time_ok", "data_ok", "header"):
            assert getattr(ccd, name) == getattr(twin, name), name
        assert list(ccd.windows) == list(twin.windows)
        for name, window in ccd.windows.items():
            assert window.geometry == twin.windows[name].geometry
            assert window.outamp == twin.windows[name].outamp
            assert window.data.dtype == twin.windows[name].data.dtype
            np.testing.assert_array_equal(window.data, twin.windows[name].data)


def test_a_frame_survives_the_file_bit_for_bit(frame, tmp_path):
    write_hcm(tmp_path / "a.hcm", frame)
    again = read_hcm(tmp_path / "a.hcm")
    same(frame, again)
    assert {k: v for k, v in again.header.items() if k not in {"COMMENT", "NFRAME"}} == frame.header


def test_a_file_written_again_is_the_same_file(frame, tmp_path):
    write_hcm(tmp_path / "a.hcm", frame)
    write_hcm(tmp_path / "b.hcm", read_hcm(tmp_path / "a.hcm"))
    assert (tmp_path / "a.hcm").read_bytes() == (tmp_path / "b.hcm").read_bytes()


def test_astropy_reads_it_and_finds_checksums_right(frame, tmp_path):
    write_hcm(tmp_path / "a.hcm", frame)
    with fits.open(tmp_path / "a.hcm", checksum=True) as hdus:
        hdus.verify("exception")
        assert hdus[0].header["NUMCCD"] == 4
        assert hdus[0].header["HIPERCAM"] == "MCCD"
        assert len(hdus) == 9
        np.testing.assert_array_equal(hdus[1].data, frame.ccds["1"].windows["E1"].data)
        # the fourth CCD starts the second row of the mosaic: nytot + 2 nypad + 200 below the first
        fourth = hdus[7].header
        assert (fourth["CRVAL1"], fourth["CRVAL2"]) == (11.0, 21.0 - (1024 + 16 + 200))
        second = hdus[3].header
        assert (second["CRVAL1"], second["DTV1"]) == (11.0 + 2048 + 100 + 200, 2048 + 100 + 200)
        assert second["DATASEC"] == "[11:70,21:100]"
        # image viewers turn image pixel 1 into its physical centre with LTM and LTV
        assert (1 - second["LTV1"]) / second["LTM1_1"] == pytest.approx(11 + 0.5)
        assert (1 - second["LTV2"]) / second["LTM2_2"] == pytest.approx(21 + 1.5)


def test_a_scanned_frame_reads_pixels_when_they_are_asked_for(frame, tmp_path):
    write_hcm(tmp_path / "a.hcm", frame)
    scanned = scan_hcm(tmp_path / "a.hcm")
    box = Box(2, 5, 10, 20)
    np.testing.assert_array_equal(scanned.ccds["3"].windows["E1"].read(box), frame.ccds["3"].windows["E1"].data[2:5, 10:20])
    same(frame, scanned)


def test_a_ccd_without_time_keeps_none(frame, tmp_path):
    frame.ccds["1"].mjd_frac = float("nan")
    write_hcm(tmp_path / "a.hcm", frame)
    assert np.isnan(read_hcm(tmp_path / "a.hcm").ccds["1"].mjd_frac)


def test_an_existing_file_is_a_conflict_unless_it_may_be_overwritten(frame, tmp_path):
    write_hcm(tmp_path / "a.hcm", frame)
    with pytest.raises(Conflict):
        write_hcm(tmp_path / "a.hcm", frame)
    frame.number = 18
    write_hcm(tmp_path / "a.hcm", frame, overwrite=True)
    assert read_hcm(tmp_path / "a.hcm").number == 18


def write_with_astropy(path, *windows, header=None):
    hdus = fits.HDUList([fits.PrimaryHDU(header=fits.Header(header or {}))])
    for cards, data in windows:
        hdus.append(fits.ImageHDU(data, fits.Header(cards)))
    hdus.writeto(path)


FIRST = {"CCD": "1", "NXTOT": 100, "NYTOT": 80, "LLX": 1, "LLY": 1, "XBIN": 1, "YBIN": 1}


def test_labels_and_flags_have_their_defaults_and_integers_become_float32(tmp_path):
    data = np.arange(12, dtype=np.uint16).reshape(3, 4) + 65000
    plain = {k: v for k, v in FIRST.items() if k != "CCD"}
    write_with_astropy(tmp_path / "a.hcm", (plain, data), (plain, data))
    frame = read_hcm(tmp_path / "a.hcm")
    assert list(frame.ccds) == ["1"]
    ccd = frame.ccds["1"]
    assert list(ccd.windows) == ["1", "2"]
    assert (ccd.time_ok, ccd.data_ok, ccd.exposure, ccd.nxpad) == (True, True, 1.0, 0)
    assert ccd.windows["1"].data.dtype == np.float32
    np.testing.assert_array_equal(ccd.windows["1"].data, data.astype(float))


@pytest.mark.parametrize(
    ("given", "labels"), [(("A", None, "B", None), "A2B4"), ((None, "1B", None, 7), "1 1B 3 7"), ((None,), "1")]
)
def test_windows_without_a_label_are_counted_within_their_ccd(tmp_path, given, labels):
    cards = [FIRST | ({} if label is None else {"WINDOW": label}) | {"CCD": ccd} for ccd in (1, 2) for label in given]
    write_with_astropy(tmp_path / "a.hcm", *[(c, np.full((3, 4), n, np.float32)) for n, c in enumerate(cards)])
    frame = read_hcm(tmp_path / "a.hcm")
    wanted = labels.split() if " " in labels else list(labels)
    assert {ccd: list(own.windows) for ccd, own in frame.ccds.items()} == {"1": wanted, "2": wanted}
    assert [w.data[0, 0] for ccd in frame.ccds.values() for w in ccd.windows.values()] == list(range(len(cards)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float32, np.float64])
def test_any_numbers_become_float32_but_float64_which_stays(frame, tmp_path, dtype):
    data = np.array([[0, 1, 250], [7, 8, 9]], dtype) + (dtype(0.1) if dtype in (np.float32, np.float64) else dtype(0))
    write_with_astropy(tmp_path / "a.hcm", (FIRST, data))
    read = read_hcm(tmp_path / "a.hcm").ccds["1"].windows["1"].data
    assert read.dtype == (np.float64 if dtype is np.float64 else np.float32)
    np.testing.assert_array_equal(read, data)


def test_a_file_of_one_ccd_may_hold_its_first_window_in_the_first_hdu(tmp_path):
    data = np.ones((3, 4), np.float32)
    first = fits.PrimaryHDU(data, fits.Header(FIRST | {"HIPERCAM": "CCD"}))
    fits.HDUList([first, fits.ImageHDU(data * 2, fits.Header(FIRST))]).writeto(tmp_path / "a.hcm")
    windows = read_hcm(tmp_path / "a.hcm").ccds["1"].windows
    assert [w.data[0, 0] for w in windows.values()] == [1, 2]


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        ([{k: v for k, v in FIRST.items() if k != "LLY"}], "keyword LLY is missing"),
        ([{k: v for k, v in FIRST.items() if k != "NXTOT"}], "keyword NXTOT is missing"),
        ([FIRST | {"XBIN": 0}], "describe no window"),
        ([FIRST | {"LLX": 1.5}], "keyword LLX is 1.5, not a whole number"),
        ([FIRST | {"GOODTIME": "yes"}], "keyword GOODTIME is 'yes', not T or F"),
        ([FIRST | {"WINDOW": "A"}, FIRST | {"WINDOW": "A"}], "CCD 1 has two windows A"),
        ([FIRST | {"WINDOW": "2"}, FIRST], "CCD 1 has two windows 2"),
        ([FIRST, FIRST | {"CCD": "2"}, FIRST], "windows of CCD 1 do not stand together"),
        ([], "no window in the file"),
    ],
)
def test_files_that_are_no_frame_say_why(tmp_path, windows, said):
    write_with_astropy(tmp_path / "a.hcm", *[(w, np.ones((3, 4), np.float32)) for w in windows])
    with pytest.raises(BadInput, match=said) as error:
        read_hcm(tmp_path / "a.hcm")
    assert error.value.file == str(tmp_path / "a.hcm")


def test_a_cut_file_and_changed_pixels_are_found(frame, tmp_path):
    path = tmp_path / "a.hcm"
    write_hcm(path, frame)
    data = bytearray(path.read_bytes())
    path.write_bytes(data[:-2880])
    with pytest.raises(BadInput, match="cut short"):
        read_hcm(path)
    at = data.index(frame.ccds["1"].windows["E1"].data.astype(">f4").tobytes())
    data[at + 100] ^= 4
    path.write_bytes(data)
    with pytest.raises(BadInput, match="DATASUM"):
        read_hcm(path)


def test_a_file_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        read_hcm(tmp_path / "a.hcm")


def test_a_file_cut_between_two_windows_is_short_of_what_its_header_announces(frame, tmp_path):
    write_hcm(tmp_path / "a.hcm", frame)
    with FitsFile(tmp_path / "a.hcm") as file:
        ends = [hdu.end for hdu in file.hdus()]
    data = (tmp_path / "a.hcm").read_bytes()
    for end, said in ((ends[-2], "CCD red has 1 of the 2 windows"), (ends[-3], "has 3 of the 4 CCDs")):
        (tmp_path / "a.hcm").write_bytes(data[:end])
        with pytest.raises(BadInput, match=said) as error:
            read_hcm(tmp_path / "a.hcm")
        assert error.value.place == f"byte {end}"


@pytest.mark.parametrize(("keyword", "value"), [("MJDINT", "1" + "0" * 20), ("MJDINT", "-999999"), ("MJDFRAC", "1E300")])
def test_times_that_no_calendar_has_are_refused(frame, tmp_path, keyword, value):
    write_hcm(tmp_path / "a.hcm", frame)
    data = (tmp_path / "a.hcm").read_bytes()
    at = data.index(f"{keyword:<8}=".encode())
    (tmp_path / "a.hcm").write_bytes(data[:at] + f"{keyword:<8}= {value:>22}".encode().ljust(80) + data[at + 80 :])
    with pytest.raises(BadInput, match=f"{keyword} cannot be") as error:
        read_hcm(tmp_path / "a.hcm")
    assert error.value.place == f"HDU 1, keyword {keyword}"
