"""Sets of apertures: the same set is one row, also when two workers store it at once."""

from __future__ import annotations

import datetime as dt
import threading

from sqlalchemy import func, select

from roque.archive.aperture_sets import load_apertures, store_apertures
from roque.archive.models import ApertureSet
from roque.photometry.apertures import Aperture

NOW = dt.datetime(2024, 5, 2, tzinfo=dt.UTC)
STAR = Aperture(x=10.0, y=1 / 3, rtarg=3.0, rsky1=5.0, rsky2=9.0, ref=True, mask=((1.0, 2.0, 3.0),), extra=((4.0, 5.0),))
APERTURES = {"2": {"1": STAR, "2": Aperture(x=30.0, y=20.0, rtarg=3.0, rsky1=5.0, rsky2=9.0, link="1")}}


def test_a_set_is_stored_once_and_read_back_as_it_was(record):
    with record.writing() as session:
        first = store_apertures(session, APERTURES, "file", "a.ape", NOW).id
    with record.writing() as session:
        assert store_apertures(session, APERTURES, "file", "a.ape", NOW).id == first
        assert store_apertures(session, APERTURES, "file", "b.ape", NOW).id != first
        assert load_apertures(session, first) == APERTURES


def test_two_workers_that_store_the_same_set_at_once_get_the_same_row(record):
    found = []

    def late() -> None:
        with record.writing() as session:
            found.append(store_apertures(session, APERTURES, "file", "a.ape", NOW).id)

    other = threading.Thread(target=late)
    with record.writing() as session:
        found.append(store_apertures(session, APERTURES, "file", "a.ape", NOW).id)
        other.start()
        other.join(0.5)
        assert other.is_alive()  # it waits for this transaction
    other.join()
    assert len(found) == 2
    assert found[0] == found[1]
    with record.reading() as session:
        assert session.scalar(select(func.count()).select_from(ApertureSet)) == 1
