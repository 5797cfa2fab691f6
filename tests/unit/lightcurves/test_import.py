"""What is loaded, and when."""

from __future__ import annotations

import subprocess
import sys

import pytest

import roque
from roque import lightcurves


def loaded_after(code: str) -> set[str]:
    """Modules that a fresh interpreter has loaded after some code."""
    words = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("code", ["import roque", "import roque.lightcurves"])
def test_the_library_is_cheap_to_import(code):
    assert not {"numpy", "astropy", "numba", "sqlalchemy", "roque.lightcurves.hlog"} & loaded_after(code)


def test_reading_and_dividing_columns_waits_for_nothing_that_draws_or_asks_the_record():
    loaded = loaded_after("from roque import Hlog, Series\nfrom roque.lightcurves.columns import write_columns")
    assert "roque.lightcurves.hlog" in loaded
    assert not {"astropy", "matplotlib", "sqlalchemy", "roque.lightcurves.plots", "roque.lightcurves.ensemble"} & loaded


def test_names_of_the_room_are_those_of_its_modules_and_others_are_unknown():
    assert lightcurves.Hlog is lightcurves.hlog.Hlog
    assert issubclass(roque.Hlog, lightcurves.Hlog)
    assert roque.Series is lightcurves.Series is lightcurves.series.Series
    assert all(getattr(lightcurves, name) is not None for name in lightcurves.__all__)
    for module in (roque, lightcurves):
        with pytest.raises(AttributeError, match="no_such"):
            module.no_such  # noqa: B018
