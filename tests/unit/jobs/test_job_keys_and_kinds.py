"""Names of jobs and their parameters."""

from __future__ import annotations

import hashlib
import time
import uuid

import pytest

from roque.errors import BadInput
from roque.jobs.keys import job_key, uuid7
from roque.jobs.kinds import ALGORITHM, PARAMETERS, SERVICE, BuildMaster, Kind, ReduceRange, read_parameters


def test_a_key_is_the_digest_of_the_canonical_json_of_kind_inputs_and_algorithm():
    text = '{"algorithm":3,"inputs":{"a":[1,0.1],"b":"ä"},"kind":"reduce_range"}'
    assert job_key("reduce_range", {"b": "ä", "a": [1, 0.1]}, 3) == hashlib.sha256(text.encode()).hexdigest()


def test_a_change_of_kind_input_or_algorithm_is_another_key():
    keys = {job_key("a", [1], 1), job_key("b", [1], 1), job_key("a", [2], 1), job_key("a", [1], 2), job_key("a", 1, 1)}
    assert len(keys) == 5


def test_nan_makes_no_key():
    with pytest.raises(ValueError, match="JSON"):
        job_key("a", [float("nan")], 1)


def test_uuid7_has_its_version_and_variant_and_sorts_by_time():
    before = int(time.time() * 1000)
    first = uuid.UUID(uuid7())
    time.sleep(0.002)
    second = uuid.UUID(uuid7())
    assert (first.version, first.variant) == (7, uuid.RFC_4122)
    assert before <= first.int >> 80 <= int(time.time() * 1000)
    assert str(first) < str(second)
    assert len({uuid7() for _ in range(1000)}) == 1000


def test_every_kind_has_a_service_parameters_and_a_version():
    assert set(Kind) == set(SERVICE) == set(PARAMETERS) == set(ALGORITHM)


def test_parameters_go_through_a_row_unchanged():
    given = BuildMaster(run_id=3, kind="flat", masters={"bias": 7, "dark": None})
    assert read_parameters(Kind.BUILD_MASTER, given.to_dict()) == given


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"reduction_id": 1, "first": 1}, "'last' is missing"),
        ({"reduction_id": 1, "first": 1, "last": 2, "lats": 3}, "no parameter 'lats'"),
        ({"reduction_id": "1", "first": 1, "last": 2}, "'reduction_id' is str, not int"),
        ({"reduction_id": True, "first": 1, "last": 2}, "'reduction_id' is bool, not int"),
    ],
)
def test_wrong_parameters_are_refused_by_name(given, words):
    with pytest.raises(BadInput, match=words):
        ReduceRange.from_dict(given)
