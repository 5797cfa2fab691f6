from dataclasses import replace

import pytest

from roque.calibration.choose import Candidate, Policy, Wanted, choose
from roque.frames import Geometry

FULL = {"E1": Geometry(1, 1, 1, 1, 1024, 512), "F1": Geometry(1025, 1, 1, 1, 1024, 512)}
FULL_2X2 = {"E1": Geometry(1, 1, 2, 2, 512, 256), "F1": Geometry(1025, 1, 2, 2, 512, 256)}
WINDOW_2X2 = {"E1": Geometry(101, 201, 2, 2, 50, 40)}


def both(windows):
    return {"1": windows, "2": windows}


WANTED = Wanted(
    instrument="hipercam",
    windows=both({"E1": Geometry(101, 201, 1, 1, 50, 40)}),
    mode="TwoWindow",
    speed="slow",
    filters={"1": "us", "2": "gs"},
    exposure={"1": 10.0, "2": 10.0},
    mjd=60000.0,
    temperature=170.0,
)


def offer(kind="bias", **other):
    base = {
        "id": "1",
        "kind": kind,
        "name": f"run0001 ({kind})",
        "instrument": "hipercam",
        "windows": both(FULL),
        "mode": "FullFrame",
        "speed": "slow",
        "filters": {"1": "us", "2": "gs"},
        "exposure": {"1": 20.0, "2": 20.0},
        "mjd": 59999.9,
    }
    return Candidate(**(base | other))


@pytest.mark.parametrize("kind", ["bias", "dark", "flat", "fringe"])
def test_a_master_that_matches_wins_and_says_why(kind):
    choice = choose(kind, WANTED, [offer(kind)])
    assert choice.winner == offer(kind)
    assert choice.reason == "taken 2.4 hours before, the only one that matches"
    assert choice.rejected == ()


@pytest.mark.parametrize(
    ("kind", "fault", "why"),
    [
        ("bias", {"kind": "dark"}, "a dark, needs a bias"),
        ("bias", {"good": False, "state": "superseded"}, "marked superseded"),
        ("bias", {"instrument": "ultracam"}, "instrument ultracam, needs hipercam"),
        ("bias", {"windows": {"1": FULL}}, "has no CCD 2"),
        ("bias", {"windows": both({"F1": FULL["F1"]})}, "does not cover window E1 of CCD 1"),
        ("bias", {"windows": both(FULL_2X2)}, "binning 2x2, needs 1x1"),
        ("bias", {"speed": "fast"}, "read-out speed fast, needs slow"),
        ("bias", {"mode": "Drift"}, "mode Drift, needs TwoWindow"),
        ("bias", {"mjd": 60031.0}, "taken 31.0 days after, at most 30 days allowed"),
        ("dark", {"exposure": {"1": 20.0, "2": 1.9}}, "exposure 1.9 s on CCD 2, needs 2 s or more"),
        ("dark", {"temperature": 175.0}, "detector at 175 K, needs 170 within 2 K"),
        ("dark", {"windows": both(FULL_2X2)}, "binning 2x2, needs 1x1"),
        ("flat", {"filters": {"1": "us", "2": "rs"}}, "filter rs on CCD 2, needs gs"),
        ("flat", {"filters": {"1": "us"}}, "filter not known on CCD 2, needs gs"),
        ("flat", {"windows": both(FULL_2X2)}, "binning 2x2, needs 1x1"),
        ("flat", {"mjd": 59989.0}, "taken 11.0 days before, at most 10 days allowed"),
    ],
)
def test_a_master_that_does_not_serve_is_rejected_in_plain_words(kind, fault, why):
    bad = replace(offer(kind), **fault)
    choice = choose(kind, WANTED, [bad])
    assert choice.winner is None
    assert choice.rejected == ((bad, why),)
    assert choice.reason == f"none of 1 serves: {why}"


def test_binned_data_take_an_unbinned_flat_but_no_unbinned_bias_or_dark():
    wanted = replace(WANTED, windows=both(WINDOW_2X2))
    assert choose("flat", wanted, [offer("flat")]).winner
    for kind in ("bias", "dark"):
        choice = choose(kind, wanted, [offer(kind)])
        assert choice.rejected[0][1] == "binning 1x1, needs 2x2"


def test_a_window_between_the_binned_pixels_is_out_of_step():
    wanted = replace(WANTED, windows=both({"E1": Geometry(102, 201, 2, 2, 50, 40)}))
    choice = choose("bias", wanted, [offer(windows=both(FULL_2X2))])
    assert choice.rejected[0][1] == "out of step with window E1 of CCD 1"


def test_the_nearest_in_time_wins_and_the_others_hear_it():
    near, late, early = offer(id="7", mjd=60000.1), offer(id="2", mjd=60004.0), offer(id="9", mjd=59998.0)
    choice = choose("bias", WANTED, [late, near, early])
    assert choice.winner == near
    assert choice.reason == "taken 2.4 hours after, the best of 3 that match"
    assert choice.rejected == (
        (early, "matches, but is taken 2.0 days before; the chosen one is nearer"),
        (late, "matches, but is taken 4.0 days after; the chosen one is nearer"),
    )


def test_in_one_night_the_binning_of_the_data_counts_before_the_hour():
    wanted = replace(WANTED, windows=both(WINDOW_2X2))
    near, alike = offer("flat", id="1", mjd=60000.01), offer("flat", id="2", windows=both(FULL_2X2), mjd=60000.3)
    choice = choose("flat", wanted, [near, alike])
    assert choice.winner == alike
    assert choice.rejected == ((near, "matches, but the chosen one has the binning of the data"),)


def test_the_choice_does_not_depend_on_the_order_of_candidates():
    twins = [offer(id=str(i)) for i in (3, 1, 2)]
    winners = {choose("bias", WANTED, order).winner.id for order in (twins, twins[::-1], twins[1:] + twins[:1])}
    assert winners == {"1"}


def test_unknown_exposures_and_temperatures_reject_nothing():
    choice = choose("dark", WANTED, [offer("dark", exposure={"1": None}, temperature=None)])
    assert choice.winner
    wanted = replace(WANTED, exposure={"1": None, "2": None}, temperature=None)
    assert choose("dark", wanted, [offer("dark", temperature=150.0)]).winner


def test_a_policy_changes_the_limits():
    old = offer("flat", mjd=59900.0)
    assert choose("flat", WANTED, [old]).winner is None
    assert choose("flat", WANTED, [old], Policy(days={"flat": None})).winner == old


def test_a_bias_of_finer_binning_serves_only_where_the_policy_says_so_and_bins_divide():
    averaged = Policy(binned_bias=True)
    wanted = replace(WANTED, windows=both(WINDOW_2X2))
    assert choose("bias", wanted, [offer()]).winner is None
    assert choose("bias", wanted, [offer()], averaged).winner == offer()
    assert choose("dark", wanted, [offer("dark")], averaged).winner is None  # that is for biases alone
    thirds = both({"E1": Geometry(1, 1, 3, 3, 341, 170)})
    assert choose("bias", wanted, [offer(windows=thirds)], averaged).rejected[0][1] == "binning 3x3, needs 2x2"
    coarse = offer(windows=both(FULL_2X2))
    assert choose("bias", WANTED, [coarse], averaged).rejected[0][1] == "binning 2x2, needs 1x1"


def test_a_bias_of_the_binning_of_the_data_is_better_than_one_that_is_averaged():
    wanted = replace(WANTED, windows=both(WINDOW_2X2))
    finer, alike = offer(id="1", mjd=60000.01), offer(id="2", windows=both(FULL_2X2), mjd=60000.3)
    choice = choose("bias", wanted, [finer, alike], Policy(binned_bias=True))
    assert choice.winner == alike
    assert choice.rejected == ((finer, "matches, but the chosen one has the binning of the data"),)


def test_with_nothing_recorded_the_reason_says_so():
    assert choose("flat", WANTED, []).reason == "no flat is recorded"
