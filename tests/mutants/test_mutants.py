"""Seeded mutants, bombs and lies: an error with a type or the right pixels, within 2 s and 300 MiB above the idle process."""

from __future__ import annotations

import os

import pytest

from tests.mutants.bombs import BOMBS, LARGE, PROBLEMS
from tests.mutants.originals import FORMATS
from tests.mutants.pool import Opener, run_format

SEED = int(os.environ.get("ROQUE_MUTANT_SEED", "20261121"))
MUTANTS = 200
"""Of each format; `make fuzz` has more."""


@pytest.fixture(scope="module")
def opener():
    with Opener() as process:
        yield process


@pytest.mark.parametrize("name", FORMATS)
def test_a_mutant_is_an_error_with_a_type_or_the_right_answer(opener, name):
    result = run_format(opener, name, SEED, range(MUTANTS))
    assert result.faults == {}, f"again: python -m tests.mutants --seed {SEED} --format {name} --only NUMBER"
    assert (
        min(result.answers["bad_input"], result.answers["read"]) > MUTANTS // 50
    )  # damage and originals both do what they should


@pytest.mark.parametrize("make", BOMBS, ids=lambda make: make.__name__)
def test_a_bomb_or_a_lie_is_refused(opener, tmp_path, make):
    told = opener.ask(format="bomb", file=str(make(tmp_path)))
    assert told["outcome"] in {"bad_input", "not_found"}


@pytest.mark.parametrize("make", PROBLEMS, ids=lambda make: make.__name__)
def test_a_lie_that_leaves_frames_is_a_problem_of_the_run(opener, tmp_path, make):
    told = opener.ask(format="bomb", file=str(make(tmp_path)))
    assert str(told["outcome"]).endswith("frames, with problems")


@pytest.mark.parametrize("make", LARGE, ids=lambda make: make.__name__)
def test_what_is_odd_but_right_is_read(opener, tmp_path, make):
    told = opener.ask(format="bomb", file=str(make(tmp_path)))
    assert str(told["outcome"]).endswith("frames")
