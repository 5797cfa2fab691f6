"""News of commits, asked for without touching the record."""

from __future__ import annotations

import datetime as dt
import time

from roque.archive import Record
from roque.archive.models import Night
from roque.archive.news import News


def test_every_commit_is_news_and_quiet_is_none(file_record):
    news = News(file_record)
    assert news.any()
    for day in range(1, 30):
        with file_record.writing() as session:
            session.add(Night(date=dt.date(2024, 1, day)))
        assert news.any()
    time.sleep(0.1)
    assert news.any()  # another commit may have shared the time stamp of the last
    assert not news.any()
    with file_record.reading():
        pass
    assert not news.any()


def test_a_record_that_everybody_has_closed_is_watched_too(file_record):
    file_record.close()
    news = News(file_record)
    assert news.any()
    time.sleep(0.1)
    news.any()
    assert not news.any()
    other = Record(str(file_record.engine.url))
    with other.writing() as session:
        session.add(Night(date=dt.date(2024, 1, 1)))
    assert news.any()
    other.close()
