"""Raw HiPERCAM runs made in the tests."""

from __future__ import annotations

import pytest

from tests.support.hipercam import make_run, stamp


@pytest.fixture
def make_stamp():
    """Give the function that makes the 36 bytes of a time stamp."""
    return stamp


@pytest.fixture
def make_raw():
    """Give a function that makes a run with random pixels."""
    return make_run
