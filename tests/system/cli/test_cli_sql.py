"""`roque sql`: anything can be asked, nothing can be changed."""

import csv
import io
import json

import pytest
from sqlalchemy import text

from roque.archive.view_columns import COLUMNS, EXAMPLES
from roque.archive.views import VIEWS


def rows(result):
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_columns_that_are_documented_are_those_of_the_views(filled):
    assert set(COLUMNS) == set(VIEWS) == set(EXAMPLES)
    with filled.record.reading() as session:
        for view, columns in COLUMNS.items():
            assert list(session.execute(text(f"SELECT * FROM {view} LIMIT 0")).keys()) == list(columns)


@pytest.mark.parametrize("view", COLUMNS)
def test_the_example_of_each_view_is_answered(roque, view):
    assert roque("sql", EXAMPLES[view]).exit_code == 0


def test_an_answer_is_had_as_json_as_csv_and_as_a_table(roque):
    asked = "SELECT frame, counts FROM measurements WHERE ccd = '1' AND aperture = '1' AND frame IN (10, 11) ORDER BY frame"
    assert rows(roque("sql", "--json", asked)) == [{"frame": 10, "counts": 5000.0}, {"frame": 11, "counts": None}]
    assert list(csv.reader(io.StringIO(roque("sql", "--csv", asked).stdout))) == [
        ["frame", "counts"],
        ["10", "5000.0"],
        ["11", ""],
    ]
    assert roque("sql", asked).stdout.splitlines() == ["frame  counts", "   10  5000.0", "   11    NULL"]


def test_light_curves_are_a_view(roque):
    asked = "SELECT ratio, ratio_error FROM light_curves WHERE run = 'run0003' AND ccd = '2' AND comparison = '3' AND frame = 1"
    (row,) = rows(roque("sql", "--json", asked))
    # 5000 +- 50 over 10000 +- 60
    assert row["ratio"] == 0.5
    assert row["ratio_error"] == pytest.approx(0.5 * (0.01**2 + 0.006**2) ** 0.5)


def test_more_rows_than_the_limit_are_cut_with_a_notice(roque):
    result = roque("sql", "--limit", 3, "SELECT frame FROM frames")
    assert len(result.stdout.splitlines()) == 4
    assert "only the first 3 rows" in result.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM run",
        "UPDATE run SET state = 'failed'",
        "DROP TABLE run",
        "CREATE TABLE mine (x)",
        "CREATE TEMP TABLE mine (x)",
        "ATTACH 'other.sqlite' AS other",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
        "VACUUM",
        "SELECT load_extension('mine')",
        "WITH gone AS (SELECT 1) DELETE FROM run",
        "SELECT 1; DELETE FROM run",
        "BEGIN IMMEDIATE",
        "nonsense",
        "",
    ],
)
def test_whatever_is_no_single_select_is_refused_and_changes_nothing(roque, filled, statement, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = rows(roque("sql", "--json", "SELECT * FROM runs"))
    result = roque("sql", statement)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("roque: SQL: ")
    assert rows(roque("sql", "--json", "SELECT * FROM runs")) == before
    assert not (tmp_path / "other.sqlite").exists()


def test_a_question_that_takes_too_long_is_stopped(roque):
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    result = roque("sql", "--timeout", 0.2, endless)
    assert result.exit_code == 1
    assert "stopped after 0.2 s" in result.stderr


def test_reading_goes_on_while_somebody_writes(roque, filled):
    with filled.record.writing() as session:
        session.execute(text("UPDATE run SET object = 'changed'"))
        assert rows(roque("sql", "--json", "SELECT object FROM runs WHERE run = 'run0005'")) == [{"object": "NN Ser"}]


def test_views_columns_and_examples_are_listed_without_a_record(roque, tmp_path):
    page = roque("--home", tmp_path / "none", "sql", "--views").stdout
    assert "light_curves" in page
    assert "middle of the exposure, MJD (UTC)" in page
    assert [view["name"] for view in rows(roque("sql", "--views", "--json"))] == list(COLUMNS)


def test_a_question_may_come_from_standard_input(filled):
    from click.testing import CliRunner

    from services.cli.main import cli

    result = CliRunner().invoke(cli, ["--home", str(filled.home), "sql", "-", "--json"], input="SELECT 1 AS one")
    assert rows(result) == [{"one": 1}]


def test_no_question_at_all_is_wrong_usage(roque):
    assert roque("sql").exit_code == 2
    assert roque("sql", "--json", "--csv", "SELECT 1").exit_code == 2
