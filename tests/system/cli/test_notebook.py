"""`from roque import Hlog`: logs straight from the record."""

import numpy as np
import pytest

from roque import Hlog
from roque.errors import BadInput, NotFound, Unreachable

RUN = "hipercam/2026-11-01/run0003"


@pytest.fixture
def here(filled, monkeypatch):
    monkeypatch.setenv("ROQUE_HOME", str(filled.home))
    return filled


def test_a_log_from_the_record_is_the_log_that_is_exported(here, roque, tmp_path):
    log = Hlog.from_record(RUN)
    assert roque("hlog", "export", RUN, "--format", "fits", "-o", tmp_path).exit_code == 0
    exported = Hlog.from_fits(tmp_path / "run0003.fits")
    assert list(log) == ["1", "2"]
    assert all(log[ccd].tobytes() == exported[ccd].tobytes() for ccd in log)
    ratio = log.tseries("2", "1") / log.tseries("2", "2")
    assert ratio.y[0] == 0.5
    assert type(exported) is type(log) is Hlog


def test_reductions_are_named_as_on_the_command_line(here):
    assert len(Hlog.from_record("run0003", reduction="a1b2", recipe=None)["1"]) == 20
    with pytest.raises(NotFound):
        Hlog.from_record("run0003", recipe="bright")
    with pytest.raises(NotFound, match="no run"):
        Hlog.from_record("run0099")


def test_a_position_adds_times_at_the_barycentre(here):
    given, read = (Hlog.from_record("run0003", position=at)["1"]["BJD"] for at in ((106.925, 67.0), "07:07:42,+67:00:00"))
    assert np.abs(given - read).max() < 1e-8
    assert 2461346.4 < given[0] < 2461346.5
    assert "BJD" not in Hlog.from_record("run0003").cnames["1"]
    with pytest.raises(BadInput, match="RA,DEC"):
        Hlog.from_record("run0003", position="north")


def test_where_there_is_no_record_none_is_made(tmp_path, monkeypatch):
    monkeypatch.delenv("ROQUE_HOME", raising=False)
    with pytest.raises(Unreachable, match="ROQUE_HOME"):
        Hlog.from_record("run0003", home=tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []
