"""Windows of raw frames, each made when it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from roque.frames import Geometry, Window
from roque.frames.raw_windows import RawWindows


class Place:
    """A place that counts how often a window was made of it."""

    def __init__(self, level):
        self.level = level
        self.made = 0

    def window(self, raw):
        self.made += 1
        return Window(Geometry(1, 1, 1, 1, 3, 2), np.full((2, 3), raw.level + self.level, np.float32))


class Raw:
    """A frame of one level."""

    level = 100

    def checked(self):
        return np.full(6, self.level, np.uint16)


def test_windows_are_made_once_and_when_they_are_asked_for():
    places = {"E1": Place(1), "F1": Place(2)}
    windows = RawWindows(places, Raw())
    assert list(windows) == ["E1", "F1"]
    assert len(windows) == 2
    assert "F1" in windows
    assert "G1" not in windows
    assert [place.made for place in places.values()] == [0, 0]
    assert windows["F1"].data[0, 0] == 102.0
    assert windows["F1"] is windows["F1"]
    assert {label: window.data[1, 2] for label, window in windows.items()} == {"E1": 101.0, "F1": 102.0}
    assert [place.made for place in places.values()] == [1, 1]
    with pytest.raises(KeyError):
        windows["G1"]


def test_frames_do_not_share_their_windows():
    places, other = {"E1": Place(1)}, Raw()
    other.level = 200
    one, two = RawWindows(places, Raw()), RawWindows(places, other)
    assert (one["E1"].data[0, 0], two["E1"].data[0, 0]) == (101.0, 201.0)
    assert one.places is two.places
