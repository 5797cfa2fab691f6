"""However a run is cut up, its measurements are the same to the bit."""

from __future__ import annotations

import gc
import json
import os
import threading
from dataclasses import replace

import numpy as np
import pytest

from roque.calibration.apply import Masters
from roque.errors import BadInput
from roque.frames.hcm import read_hcm
from roque.photometry.apertures import read_apertures
from roque.photometry.follow import Follower
from roque.photometry.recipe import Recipe
from roque.photometry.reduce import Reducer
from roque.photometry.reduce_file import read_reduce_file
from roque.photometry.state import State
from roque.spool import data_source


@pytest.fixture(scope="module", params=["B", "C"])
def run(request, golden_runs):
    """Recipe, apertures, masters and frames of a cloudy run with skipped read-outs, or one with lost references."""
    letter = request.param
    masters = Masters(**{kind: read_hcm(golden_runs / f"{kind}.hcm") for kind in ("bias", "dark", "flat")})
    recipe = Recipe.from_reduce_file(read_reduce_file(golden_runs / f"{letter}_moffat.red"))
    with data_source("hl", golden_runs / f"run000{'ABC'.index(letter) + 4}.fits") as source:
        frames = [source.frame(place) for place in range(1, 25)]
    return recipe, read_apertures(golden_runs / f"{letter}.ape"), masters, frames


def through_json(state):
    return State.from_dict(json.loads(json.dumps(state.to_dict(), allow_nan=False)))


def in_ranges(reducer, frames, length):
    """Measurements of ranges, each started from what the one before saved."""
    tables, state = [], None
    for start in range(0, len(frames), length):
        rows, state, _ = reducer().reduce_range(frames[start : start + length], state)
        state = through_json(state)
        tables.append(rows)
    return np.concatenate(tables), state


@pytest.mark.parametrize("parity", [True, False])
@pytest.mark.parametrize("length", [1, 7])
def test_ranges_give_the_bits_of_the_whole(run, parity, length):
    recipe, apertures, masters, frames = run
    recipe = Recipe.from_dict(recipe.to_dict() | {"parity": parity})
    shared = Reducer(recipe, apertures, masters)
    whole, last, _ = shared.reduce_range(frames)
    # one reducer for all ranges, as a worker has that keeps it; and a new one for each, as after a restart
    for reducer in (lambda: shared, lambda: Reducer(recipe, apertures, masters)):
        parts, state = in_ranges(reducer, frames, length)
        assert parts.tobytes() == whole.tobytes()
        assert json.dumps(state.to_dict()) == json.dumps(last.to_dict())


def test_a_state_is_not_changed_by_what_follows_it(run):
    recipe, apertures, masters, frames = run
    reducer = Reducer(recipe, apertures, masters)
    _, state, _ = reducer.reduce_range(frames[:8])
    before = json.dumps(state.to_dict())
    first, _, _ = reducer.reduce_range(frames[8:16], state)
    again, _, _ = reducer.reduce_range(frames[8:16], state)
    assert first.tobytes() == again.tobytes()
    assert json.dumps(state.to_dict()) == before


def test_without_parity_ccds_reduced_apart_give_the_same_rows(run):
    recipe, apertures, masters, frames = run
    recipe = Recipe.from_dict(recipe.to_dict() | {"parity": False})
    together, _, _ = Reducer(recipe, apertures, masters).reduce_range(frames)
    for ccds in (["1"], ["2", "4"], ["5", "3"]):
        apart, _, _ = Reducer(recipe, apertures, masters, ccds=ccds).reduce_range(frames)
        assert apart.tobytes() == together[np.isin(together["ccd"], ccds)].tobytes()


def test_no_frames_give_no_rows_and_the_state_they_were_given(run):
    recipe, apertures, masters, frames = run
    reducer = Reducer(recipe, apertures, masters)
    _, state, _ = reducer.reduce_range(frames[:3])
    rows, after, notes = reducer.reduce_range([], state)
    assert rows.size == 0
    assert after.to_dict() == state.to_dict()
    assert notes == []


def test_rows_come_frame_by_frame_in_the_order_of_the_data(run):
    recipe, apertures, masters, frames = run
    rows, _, _ = Reducer(recipe, apertures, masters).reduce_range(frames)
    expected = [
        (frame.number, name, label)
        for frame in frames
        for name, ccd in frame.ccds.items()
        if ccd.data_ok
        for label in apertures[name]
    ]
    assert [(int(r["frame"]), str(r["ccd"]), str(r["aperture"])) for r in rows] == expected


def test_a_state_of_other_apertures_is_refused(run):
    recipe, apertures, masters, frames = run
    _, state, _ = Reducer(recipe, apertures, masters).reduce_range(frames[:4])
    fewer = {name: dict(list(members.items())[:-1]) for name, members in apertures.items()}
    with pytest.raises(BadInput, match="other apertures"):
        Reducer(recipe, fewer, masters).reduce_range(frames[4:8], state)


@pytest.mark.parametrize("damage", [{"version": 9}, {"ccds": {"1": {}}}, {"ccds": 3}, {"start": ["x", 1]}])
def test_something_else_than_a_state_is_refused(run, damage):
    recipe, apertures, masters, frames = run
    _, state, _ = Reducer(recipe, apertures, masters).reduce_range(frames[:2])
    with pytest.raises(BadInput, match="state"):
        State.from_dict(state.to_dict() | damage)


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


@pytest.mark.parametrize("changes", [
    {},
    {"parity": False},
    {"apertures.fit_method": "gaussian"},
    {"apertures.fit_fwhm_fixed": True, "extraction.*.resize": "fixed"},
    {"apertures.location": "fixed", "extraction.*.resize": "fixed"},
    {"apertures.fit_height_min_nrf": 5000.0},  # most stars are lost in most frames, and begin anew from what CCDs share
])  # fmt: skip
def test_ccds_side_by_side_give_the_bits_of_one_after_another(run, changes, two_cores):
    recipe, apertures, masters, frames = run
    recipe = recipe.changed(changes)
    rows, state, notes = Reducer(recipe, apertures, masters).reduce_range(frames)
    threads = Reducer(recipe, apertures, masters, side_by_side=True)
    together, last, told = threads.reduce_range(frames)
    assert together.tobytes() == rows.tobytes()
    assert json.dumps(last.to_dict()) == json.dumps(state.to_dict())
    assert told == notes
    parts, last = in_ranges(lambda: threads, frames, 5)
    assert parts.tobytes() == rows.tobytes()
    assert json.dumps(last.to_dict()) == json.dumps(state.to_dict())


def test_of_ccds_side_by_side_the_first_error_in_the_run_is_told(run, two_cores):
    recipe, apertures, masters, frames = run
    first, *_, last = frames[0].ccds
    broken = [*frames[:9], *(_renamed(frame, last) for frame in frames[9:])]
    broken[12:] = [_renamed(frame, first) for frame in broken[12:]]
    places = []
    for side_by_side in (False, True):
        with pytest.raises(BadInput, match="not that of the first frame") as caught:
            Reducer(recipe, apertures, masters, side_by_side=side_by_side).reduce_range(broken)
        places.append(caught.value.place)
    assert places[0] == places[1]
    assert places[0].startswith(f"CCD {last},")


@pytest.mark.parametrize("side_by_side", [False, True])
def test_nothing_of_a_range_stays_in_memory_until_somebody_looks_for_garbage(run, side_by_side, two_cores):
    recipe, apertures, masters, frames = run
    reducer = Reducer(recipe, apertures, masters, side_by_side=side_by_side)
    gc.collect()
    gc.disable()
    try:
        reducer.reduce_range(frames)
        assert not [thing for thing in gc.get_objects() if isinstance(thing, Follower)]
    finally:
        gc.enable()


def test_one_core_is_not_given_threads(run, monkeypatch):
    recipe, apertures, masters, frames = run
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    seen = set()
    watched = (seen.update(thread.name for thread in threading.enumerate()) or frame for frame in frames)
    Reducer(recipe, apertures, masters, side_by_side=True).reduce_range(watched)
    assert not any(name.startswith("ccd") for name in seen)


def _renamed(frame, name):
    """A frame with other names of the windows of a CCD."""
    ccd = frame.ccds[name]
    return replace(frame, ccds=frame.ccds | {name: replace(ccd, windows={f"no {k}": w for k, w in ccd.windows.items()})})
