import click
import pytest

from roque.errors import BadInput, Conflict, NotFound, Transient, Unreachable
from services.cli.app import App
from services.cli.errors import report


@pytest.fixture
def app(tmp_path):
    return App(tmp_path / "home")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadInput("x"), 1),
        (Conflict("x"), 1),
        (Transient("x"), 1),
        (Unreachable("x"), 3),
        (NotFound("x"), 4),
        (click.UsageError("x"), 2),
        (click.BadParameter("x"), 2),
        (click.Abort(), 130),
        (ZeroDivisionError("x"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_status_and_one_line(app, capsys, error, status):
    assert report(error, app) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("roque: ")
    assert shown.err.count("\n") == 1


def test_an_error_says_where_what_and_what_to_do(app, capsys):
    report(BadInput("4096 bytes short", file="run0012.fits", place="frame 217", remedy="copy it again"), app)
    assert capsys.readouterr().err == "roque: run0012.fits, frame 217: 4096 bytes short; copy it again\n"


def test_an_error_cannot_command_the_terminal(app, capsys):
    report(BadInput("bad\x1b[2J\r\nname", file="\x9b31mrun.fits"), app)
    assert capsys.readouterr().err == "roque: 31mrun.fits: bad[2J  name\n"


def test_a_folder_that_cannot_be_written_is_named(app, capsys):
    report(PermissionError(13, "Permission denied", "/data/out.csv"), app)
    assert capsys.readouterr().err.startswith("roque: /data/out.csv: permission denied; check the path")


def test_an_unforeseen_error_leaves_its_traceback_in_the_home_folder(app, capsys):
    try:
        {}["no such key"]
    except KeyError as error:
        status = report(error, app)
    assert status == 1
    log = app.home / "errors.log"
    assert str(log) in capsys.readouterr().err
    text = log.read_text()
    assert "KeyError: 'no such key'" in text
    assert "test_cli_errors.py" in text


def test_where_the_home_folder_cannot_be_written_the_traceback_goes_to_a_temporary_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "file").write_text("in the way of a folder")
    report(ValueError("odd"), App(tmp_path / "file"))
    (kept,) = tmp_path.glob("roque-*.log")
    assert str(kept) in capsys.readouterr().err
    assert "ValueError: odd" in kept.read_text()
