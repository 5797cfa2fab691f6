"""The page of `roque run watch`: it fits the terminal, and shows what is in the curves."""

import re

import numpy as np
import pytest

from services.cli.watch_curves import Curve
from services.cli.watch_page import LEAST_HEIGHT, Size, page

HEAD = ["hipercam/2026-03-14/run0012  reducing", "40 of 44 frames, 4 behind"]
BRAILLE = range(0x2801, 0x2900)  # without the empty one


def curve(ccd="1", n=40, **given):
    values = {
        "band": "gs", "star": "1", "comparison": "2", "seconds": np.linspace(-390.0, 0.0, n), "flux": np.ones(n),
        "transmission": np.full(n, 0.9), "seeing": np.full(n, 1.2), "x": np.linspace(0.0, 1.0, n), "y": np.zeros(n),
        "flags": {},
    }  # fmt: skip
    return Curve(ccd=ccd, **(values | given))


def plain(lines):
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]


def dots(line):
    return [place for place, char in enumerate(line) if ord(char) in BRAILLE]


def panel_of(lines, title):
    """Lines of points of the panel whose title begins so, the widest one."""
    first = next(k for k, line in enumerate(lines) if line.startswith(title)) + 1
    last = next(k for k in range(first, len(lines)) if re.match(r" +-[\d.]+ (s|min|h) ", lines[k]))
    return lines[first:last]


@pytest.mark.parametrize("size", [Size(80, 24), Size(61, 19), Size(200, 70), Size(132, 43)])
@pytest.mark.parametrize("ccds", [1, 5])
def test_a_page_leaves_a_line_free_and_no_line_is_wider_than_the_terminal(size, ccds):
    lines = plain(page(HEAD, [curve(str(k), flags={"LOST": 3}) for k in range(1, ccds + 1)], size, arcsec=True))
    assert len(lines) == size.lines - 1
    assert max(map(len, lines)) <= size.columns
    assert lines[:2] == HEAD
    assert f"LOST {3 * ccds}" in lines[2]
    assert all(f"CCD {k} gs" in lines[3] for k in range(1, ccds + 1))


def test_an_eclipse_is_seen_where_and_as_deep_as_it_is():
    flux = np.ones(400)
    flux[100:200] = 0.5
    rows = panel_of(plain(page(HEAD, [curve(n=400, flux=flux)], Size(80, 24), arcsec=True)), "star 1 over 2")
    high, low = float(rows[0].split()[0]), float(rows[-1].split()[0])
    assert (high > 1.0, low < 0.5) == (True, True)
    within = {k: dots(row[8:]) for k, row in enumerate(rows) if dots(row[8:])}
    upper, lower = within[min(within)], within[max(within)]
    assert (min(lower), max(lower)) == (pytest.approx(18, abs=1), pytest.approx(36, abs=1))
    assert not set(upper) & set(range(20, 35))
    expected = round((len(rows) - 1) * (high - 0.5) / (high - low))
    assert max(within) == pytest.approx(expected, abs=1)


def test_a_light_curve_of_each_ccd_has_a_panel_of_its_own_where_there_is_room():
    curves = [curve(str(k)) for k in range(1, 6)]
    high, low = (plain(page(HEAD, curves, Size(80, lines), arcsec=True)) for lines in (70, 24))
    assert sum(line.startswith("star 1 over 2, CCD") for line in high) == 5
    assert sum(line.startswith("star 1 over 2") for line in low) == 1


def test_the_newest_value_of_every_ccd_is_told_where_there_is_room():
    curves = [curve("1", transmission=np.full(40, 0.91)), curve("2", transmission=np.full(40, 0.62))]
    curves += [curve("3", transmission=np.full(40, np.nan))]
    wide, narrow = (plain(page(HEAD, curves, Size(columns, 40), arcsec=True)) for columns in (132, 80))
    assert next(line for line in wide if line.startswith("transmission")).startswith("transmission  now 0.910 0.620 - ")
    assert "now" not in next(line for line in narrow if line.startswith("transmission"))
    assert "x y, pixels, CCD 2  now 1.00 0.00" in next(line for line in wide if line.startswith("transmission"))


def test_what_was_not_measured_is_left_out_and_wild_points_do_not_squeeze_the_others():
    flux = np.ones(400) + 0.01 * np.sin(np.arange(400))
    flux[7], flux[9] = 50.0, np.nan
    rows = panel_of(
        plain(page(HEAD, [curve(n=400, flux=flux, seeing=np.full(400, np.nan))], Size(80, 24), arcsec=False)), "star"
    )
    assert float(rows[0].split()[0]) < 1.1
    text = "\n".join(plain(page(HEAD, [curve(seeing=np.full(40, np.nan))], Size(80, 24), arcsec=False)))
    assert "seeing, pixels" in text


def test_before_the_first_measurements_a_page_says_what_is_waited_for():
    lines = page(HEAD, [], Size(80, 24), arcsec=True)
    assert lines[:2] == HEAD
    assert "nothing is measured yet" in lines[-1]


def test_names_that_others_have_given_cannot_command_the_terminal():
    lines = page(["run\x1b[2J0012"], [curve(band="g\x1b]0;x\x07", ccd="1")], Size(80, 24), arcsec=True)
    assert all("\x1b[2J" not in line and "\x1b]" not in line and "\x07" not in line for line in lines)


@pytest.mark.parametrize("n", [1, 2])
def test_the_first_frames_of_a_run_are_drawn_too(n):
    seconds = np.linspace(-(n - 1) * 10.0, 0.0, n)
    lines = page(HEAD, [curve(n=n, seconds=seconds, x=np.zeros(n))], Size(80, 24), arcsec=True)
    assert len(lines) == 23


def test_a_terminal_that_is_too_small_gets_a_page_that_can_be_cut():
    lines = page(HEAD, [curve()], Size(40, 10), arcsec=True)
    assert len(lines) == LEAST_HEIGHT - 1
