"""Files that are made to cost time or memory, or that tell lies about their size."""

from __future__ import annotations

import gzip
import os
import zlib
from functools import cache
from pathlib import Path

from tests.mutants.originals import FORMATS

__all__ = ["BOMBS", "LARGE", "PROBLEMS"]

BLOCK, CARD = 2880, 80


def original(name: str, number: int = 0) -> dict[str, bytes]:
    return dict(FORMATS[name].originals()[number].files)


def card(data: bytes, keyword: str, value: str, *, after: int = 0) -> bytes:
    """Put another value into a card: the first one of its keyword from a byte on."""
    name = keyword if len(keyword) > 8 else f"{keyword:<8}"
    text = name.encode() + b"=" if len(keyword) <= 8 else f"HIERARCH {keyword} =".encode()
    at = data.index(text, after)
    return data[:at] + text + f" {value:>20}".encode().ljust(CARD - len(text)) + data[at + CARD :]


def write(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@cache
def zeros() -> bytes:
    """A gigabyte of zeros in a megabyte."""
    engine, filler = zlib.compressobj(9, zlib.DEFLATED, 31), bytes(1 << 20)
    return b"".join([*(engine.compress(filler) for _ in range(1 << 10)), engine.flush()])


def gz_of_zeros(folder: Path) -> Path:
    return write(folder, "run0001.fits.gz", zeros())


def gz_of_a_run_and_zeros(folder: Path) -> Path:
    data = card(original("hipercam")["run0001.fits"], "NAXIS3", "1000000")
    return write(folder, "run0001.fits.gz", gzip.compress(data) + zeros())


def gz_of_gz(folder: Path) -> Path:
    return write(folder, "run0001.fits.gz", gzip.compress(zeros()))


def gz_dat_of_zeros(folder: Path) -> Path:
    write(folder, "run012.xml", original("ultra")["run012.xml"])
    return write(folder, "run012.dat.gz", zeros())


def gz_xml_of_zeros(folder: Path) -> Path:
    files = original("ultra")
    write(folder, "run012.dat", files["run012.dat"])
    return write(folder, "run012.xml.gz", gzip.compress(files["run012.xml"]) + zeros())


def fz_of_one_tile(folder: Path) -> Path:
    data = original("fz")["star.fits.fz"]
    for axis in "12":
        data = card(card(data, f"ZNAXIS{axis}", "50000"), f"ZTILE{axis}", "1000000000")
    return write(folder, "star.fits.fz", card(data, "NAXIS2", "1", after=BLOCK))


def fz_of_tall_tiles(folder: Path) -> Path:
    data = original("fz")["star.fits.fz"]
    for keyword, value in (
        ("ZNAXIS1", "12"),
        ("ZNAXIS2", "90000000"),
        ("ZTILE1", "1"),
        ("ZTILE2", "90000000"),
        ("NAXIS2", "12"),
    ):
        data = card(data, keyword, value, after=BLOCK)
    return write(folder, "star.fits.fz", data)


def fz_of_one_tile_many_times(folder: Path) -> Path:
    """A table of a million rows that all mean the same bytes."""
    data = original("fz")["star.fits.fz"]
    tiles, rows = 12, 500_000
    start = data.index(b"END     ", BLOCK) // BLOCK * BLOCK + BLOCK
    table, heap = data[start : start + 8 * tiles], data[start + 8 * tiles :]
    grown = data[:start] + table[:8] * rows + heap
    for keyword, value in (("ZNAXIS2", str(rows)), ("NAXIS2", str(rows)), ("CHECKSUM", "'0'"), ("DATASUM", "''")):
        grown = card(grown, keyword, value, after=BLOCK)
    return write(folder, "star.fits.fz", grown + bytes(-len(grown) % BLOCK))


def fz_of_no_pixels(folder: Path) -> Path:
    return write(folder, "star.fits.fz", card(original("fz")["star.fits.fz"], "ZTILE2", "0"))


def header_of_a_million_cards(folder: Path) -> Path:
    data = original("fits")["star.fits"]
    more = b"".join(f"K{i:07d}= {i:>20}".encode().ljust(CARD) for i in range(1_000_000))
    at = data.index(b"EXTEND  =") if b"EXTEND  =" in data else data.index(b"OBJECT  =")
    return write(folder, "star.fits", data[:at] + more + data[at:])


def header_of_a_million_cards_of_a_run(folder: Path) -> Path:
    data = original("hipercam")["run0001.fits"]
    more = b"".join(f"HIERARCH ESO K{i} = {i}".encode().ljust(CARD) for i in range(1_000_000))
    at = data.index(b"OBJECT  =")
    return write(folder, "run0001.fits", data[:at] + more + data[at:])


def header_without_end(folder: Path) -> Path:
    path = write(folder, "star.fits", original("fits")["star.fits"].replace(b"END     ", b"COMMENT ") + b" " * (40 << 20))
    os.truncate(path, 1 << 36)
    return path


def a_billion_frames_and_a_half(folder: Path) -> Path:
    data = card(original("hipercam")["run0001.fits"], "NAXIS3", "1000000000")
    path = write(folder, "run0001.fits", data)
    os.truncate(path, 1 << 42)  # a hole, which takes no room
    return path


def fifty_million_frames_of_holes(folder: Path) -> Path:
    data = card(original("hipercam")["run0001.fits"], "NAXIS3", "50000000")
    path = write(folder, "run0001.fits", data)
    os.truncate(path, 1 << 42)
    return path


def a_billion_ultracam_frames_of_holes(folder: Path) -> Path:
    files = original("ultra")
    write(folder, "run012.dat", files["run012.dat"])
    os.truncate(folder / "run012.dat", 608 * 10**9)
    return write(folder, "run012.xml", files["run012.xml"])


def image_of_ten_billion_pixels(folder: Path) -> Path:
    data = original("fits")["star.fits"]
    path = write(folder, "star.fits", card(card(data, "NAXIS1", "100000"), "NAXIS2", "100000"))
    os.truncate(path, 1 << 36)
    return path


def image_of_many_axes(folder: Path) -> Path:
    more = b"".join(f"NAXIS{i:<3}= {999999999:>20}".encode().ljust(CARD) for i in range(3, 1000))
    data = card(original("fits")["star.fits"], "NAXIS", "999")
    at = data.index(b"NAXIS1  =")
    return write(folder, "star.fits", data[:at] + more + data[at:])


def hcm_of_many_hdus(folder: Path) -> Path:
    from roque.frames.cards import format_header

    image = {"XTENSION": "IMAGE", "BITPIX": 8, "NAXIS": 0, "PCOUNT": 0, "GCOUNT": 1}
    with (folder / "frame.hcm").open("wb") as file:
        file.write(format_header({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True, "HIPERCAM": "MCCD", "NUMCCD": 1}))
        for _ in range(100):
            file.write(format_header(image) * 1000)
    return folder / "frame.hcm"


def hcm_with(keyword: str, value: str):
    def make(folder: Path) -> Path:
        return write(folder, "frame.hcm", card(original("hcm")["frame.hcm"], keyword, value, after=BLOCK))

    make.__name__ = f"hcm_with_{keyword}_{value}"
    return make


def fits_with(keyword: str, value: str):
    def make(folder: Path) -> Path:
        return write(folder, "star.fits", card(original("fits")["star.fits"], keyword, value))

    make.__name__ = f"fits_with_{keyword}_{value}"
    return make


def run_with(name: str, *changes: tuple[str, str], number: int = 0):
    def make(folder: Path) -> Path:
        data = original("hipercam", number)["run0001.fits"]
        for keyword, value in changes:
            data = card(data, keyword, value)
        return write(folder, "run0001.fits", data)

    make.__name__ = f"run_{name}"
    return make


def ultra_with(name: str, *changes: tuple[str, str], number: int = 0):
    def make(folder: Path) -> Path:
        files = original("ultra", number)
        text = files["run012.xml"].decode()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        write(folder, "run012.dat", files["run012.dat"])
        return write(folder, "run012.xml", text.encode())

    make.__name__ = f"ultra_{name}"
    return make


def text_of(name: str, data: bytes):
    def make(folder: Path) -> Path:
        return write(folder, name, data)

    make.__name__ = f"{name}_of_{data[:4]!r}"
    return make


def list_of(name: str, line: str):
    def make(folder: Path) -> Path:
        (folder / "zeros.hcm").symlink_to("/dev/zero")
        (folder / "folder.hcm").mkdir()
        os.mkfifo(folder / "pipe.hcm")
        (folder / "itself.hcm").symlink_to("run.lis")
        write(folder, "good.hcm", original("hcm")["frame.hcm"])
        return write(folder, "run.lis", f"{line}\n".encode())

    make.__name__ = f"list_of_{name}"
    return make


LAUGHS = '<!DOCTYPE lolz [<!ENTITY l0 "lol">' + "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10)) + "]>"
DET = "ESO DET WIN1"

BOMBS = [
    gz_of_zeros,
    gz_of_a_run_and_zeros,
    gz_of_gz,
    gz_dat_of_zeros,
    gz_xml_of_zeros,
    fz_of_one_tile,
    fz_of_tall_tiles,
    fz_of_one_tile_many_times,
    fz_of_no_pixels,
    header_of_a_million_cards,
    header_of_a_million_cards_of_a_run,
    header_without_end,
    a_billion_frames_and_a_half,
    fifty_million_frames_of_holes,
    a_billion_ultracam_frames_of_holes,
    image_of_ten_billion_pixels,
    image_of_many_axes,
    hcm_of_many_hdus,
    hcm_with("PCOUNT", "999999999999"),
    hcm_with("GCOUNT", "999999999999"),
    hcm_with("GCOUNT", "0"),
    hcm_with("BITPIX", "7"),
    hcm_with("BITPIX", "-999999999"),
    hcm_with("NAXIS1", "999999999999999999"),
    hcm_with("NAXIS2", "-1"),
    hcm_with("NAXIS", "1000000000"),
    fits_with("BITPIX", "17"),
    fits_with("NAXIS1", "0"),
    fits_with("NAXIS2", "1000000000000000000000000"),
    run_with("outside_in_x", (f"{DET} XSE", "1020")),
    run_with("outside_in_y", (f"{DET} YS", "508")),
    run_with("far_outside", (f"{DET} XSG", "99999999")),
    run_with("of_no_columns", (f"{DET} NX", "0")),
    run_with("of_negative_columns", (f"{DET} NX", "-8")),
    run_with("before_the_chip", (f"{DET} XSE", "-1")),
    run_with("of_no_bytes", ("NAXIS1", "0")),
    run_with("of_no_frames", ("NAXIS3", "0")),
    run_with("of_a_billion_frames", ("NAXIS3", "1000000000")),
    run_with("of_huge_frames", ("NAXIS1", "999999999999")),
    run_with("of_negative_frames", ("NAXIS3", "-1")),
    run_with("binned_by_nothing", ("ESO DET BINX1", "0")),
    ultra_with("outside", ('X1L_START" value="41"', 'X1L_START" value="1079"')),
    ultra_with("of_no_columns", ('X1_SIZE" value="8"', 'X1_SIZE" value="0"')),
    ultra_with("of_negative_rows", ('Y1_SIZE" value="6"', 'Y1_SIZE" value="-6"')),
    ultra_with("of_no_bytes", ('framesize="608"', 'framesize="0"')),
    ultra_with("of_huge_frames", ('framesize="608"', 'framesize="99999999999"')),
    ultra_with("laughing", ("<datainfo>", LAUGHS + "<datainfo>"), ("<target>a", "<target>&l9;")),
    ultra_with(
        "external",
        ("<datainfo>", '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///dev/zero">]><datainfo>'),
        ("<target>a", "<target>&e;"),
    ),
    ultra_with(
        "external_grammar", ("<datainfo>", '<!DOCTYPE a SYSTEM "file:///dev/zero"><datainfo>'), ("<target>a", "<target>&e;")
    ),
    ultra_with("of_a_million_tags", ("<user>", "<a/>" * 1_000_000 + "<user>")),
    ultra_with("of_many_tags", ("<user>", "<a/>" * 200_000 + "<user>")),
    ultra_with("of_deep_tags", ("<user>", "<a>" * 100_000 + "</a>" * 100_000 + "<user>")),
    list_of("itself", "itself"),
    list_of("its_name", "run.lis"),
    list_of("a_folder", "folder"),
    list_of("zeros", "zeros"),
    list_of("a_pipe", "pipe"),
    list_of("many_names", "\n".join(["ab"] * 2_000_000)),
    text_of("a.ape", b"[" * (64 << 20)),
    text_of("a.ape", b'["a",' + b"[]," * 2_000_000 + b"1]"),
    text_of("a.red", b"ab\n" * 30_000_000),
    text_of("a.red", b"[a]\n" + b"a=b\n" * 1_500_000),
    text_of("a.lis", b"ab\n" * 2_500_000),
    text_of("a.log", b"# a\n" * 4_000_000),
]
"""Each is refused with an error that has a type."""

PROBLEMS = [
    run_with("cut_short_by_far", ("NAXIS3", "80000000")),
    run_with("overlapping", ("ESO DET WIN2 YS", "22"), ("ESO DET WIN2 XSE", "3"), number=1),
    ultra_with("overlapping_sides", ('X1L_START" value="41"', 'X1L_START" value="558"')),
    ultra_with(
        "overlapping_pairs",
        ('Y2_START" value="401"', 'Y2_START" value="182"'),
        ('X2L_START" value="21"', 'X2L_START" value="41"'),
        number=1,
    ),
    ultra_with(
        "overlapping_windows",
        ('X2_START" value="301"', 'X2_START" value="112"'),
        ('Y2_START" value="401"', 'Y2_START" value="211"'),
        number=5,
    ),
]
"""Each is read as far as it goes, and what is wrong is a problem of it."""

LARGE = [
    ultra_with("of_many_texts", ("<user>", "x\n" * 250_000 + "<user>")),
    ultra_with("of_many_attributes", ("<user>", "<a " + " ".join(f'a{i}=""' for i in range(60_000)) + "/><user>")),
    list_of("its_members_often", "\n".join(["good"] * 100)),
]
"""Each is odd, and right: it is read."""
