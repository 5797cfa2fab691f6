"""Logs know what they are about."""

from __future__ import annotations

import io
import json
import logging
import warnings

import pytest
import structlog

from roque.telemetry import about, configure, logger


@pytest.fixture
def lines():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure("json", service="reducer", stream=stream)
    structlog.configure(cache_logger_on_first_use=False)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def test_a_line_is_json_with_its_event_service_and_context(lines):
    with about(run=4, job="abc", reduction=None):
        logger.info("range_reduced", frames=100)
    logger.info("idle")
    first, second = lines()
    assert (first["event"], first["service"], first["run"], first["job"], first["frames"]) == (
        "range_reduced", "reducer", 4, "abc", 100,
    )  # fmt: skip
    assert first["level"] == "info"
    assert first["timestamp"].endswith("Z")
    assert "reduction" not in first
    assert "run" not in second


def test_records_and_warnings_of_other_libraries_go_the_same_way(lines):
    logging.getLogger("celery.worker").info("not shown")
    logging.getLogger("celery.worker").warning("shown")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    shown, warned = lines()
    assert (shown["event"], shown["service"], shown["level"]) == ("shown", "reducer", "warning")
    assert "old" in warned["event"]
