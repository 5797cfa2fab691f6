"""Passwords appear nowhere: every command, in good and bad times, and every service, with all that they print and write."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import quote, urlsplit

import click
import pytest
from click.testing import CliRunner

from roque.archive import Record
from roque.archive.schema import upgrade
from services.cli.main import cli

PLANTED = "pl4nted@hu/sh"
"""A password with characters that an address must not hold as they are."""

WRITTEN = quote(PLANTED, safe="")
WORDS = (PLANTED, WRITTEN, "pl4nted", "hu/sh", "hu%2Fsh")

AWAY = {
    "database_url": f"postgresql://roque:{WRITTEN}@127.0.0.1:1/roque",
    "broker_url": f"amqp://roque:{WRITTEN}@127.0.0.1:1/roque",
}


def leaves(group=cli, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


def call(words, command, folder):
    """Words that call a command so that it goes as far as it can without a night to work on."""
    given = {"up": ["--until-idle", str(folder)], "demo": ["--folder", "/proc/nosuch"], "sql": ["SELECT count(*) FROM run"]}
    if words[0] == "hcam":
        return [*words]
    if words[-1] in given:
        return [*words, *given[words[-1]]]
    called = [*words]
    values = {"changes": "sky.thresh=2", "camera_name": "hipercam"}
    for parameter in command.params:
        if not parameter.required and not isinstance(parameter, click.Argument):
            continue
        match parameter.type:
            case click.Choice(choices=choices):
                value = choices[0]
            case click.Path():
                value = str(folder)
            case _:
                value = values.get(parameter.name, "019a")
        called += [value] if isinstance(parameter, click.Argument) else [parameter.opts[0], value]
    return called


COMMANDS = [(words, command) for words, command in leaves() if words not in {("up",), ("demo",)}]
"""Those that start processes are started below, as processes."""


def secret_words(settings):
    """Passwords of addresses, as they are written and as they are meant."""
    found = set(WORDS)
    for name in ("database_url", "broker_url"):
        password = urlsplit(settings.get(name, "")).password if "://" in settings.get(name, "") else None
        found |= {password} if password else set()
    return found


def written(folder):
    """All that was written under a folder but what the user wrote there."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "mine"]
    return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in files)


def assert_silent(text, words):
    for word in words:
        place = text.find(word)
        assert place < 0, f"...{text[max(0, place - 300) : place + 100]}..."


@pytest.fixture
def run(tmp_path):
    home = tmp_path / "home"
    home.mkdir()

    def run(settings):
        environment = {f"ROQUE_{name.upper()}": value for name, value in settings.items()}
        words = secret_words(settings)
        statuses = {}
        for called, command in COMMANDS:
            for more in ([], ["--json"]):
                if more and not any("--json" in option.opts for option in command.params):
                    continue
                line = [*call(called, command, tmp_path), *more]
                result = CliRunner().invoke(cli, ["--home", str(home), *line], env=environment)
                assert_silent(result.output, words)
                statuses[" ".join(called)] = result.exit_code
        assert_silent(written(tmp_path), words)
        return statuses

    run.home = home
    return run


def test_no_command_shows_a_password_when_all_is_well(run, sizes):
    with sizes.new("observatory") as settings:
        record = Record(settings["database_url"])
        upgrade(record)
        record.close()
        statuses = run(settings)
    assert {statuses[name] for name in ("run list", "job list", "recipe list", "product list")} == {0}


def test_no_command_shows_a_password_when_nobody_answers(run):
    statuses = run(AWAY)
    assert {statuses[name] for name in ("run list", "job list", "run show", "job submit", "run cancel", "sql")} == {3}
    assert statuses["doctor"] == 1


def test_no_command_shows_a_password_that_is_wrong(run, sizes):
    with sizes.new("observatory") as settings:
        wrong = {}
        for name, url in settings.items():
            parts = urlsplit(url)
            wrong[name] = url.replace(f":{parts.password}@", f":{WRITTEN}@")
        statuses = run(wrong)
    assert statuses["run list"] == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"database_url": f"postgresql://roque:{PLANTED}@127.0.0.1:1/roque"},  # not written as it must be
        {"database_url": f"postgresql://roque:{WRITTEN}@127.0.0.1:{WRITTEN}/roque"},
        {"database_url": f"mysql://roque:{WRITTEN}@127.0.0.1/roque"},
        {"database_url": WRITTEN},
        {"broker_url": f"amqp://roque:{PLANTED}@127.0.0.1:1//"},
        {"broker_url": f"redis://:{WRITTEN}@127.0.0.1/0"},
        {**AWAY, "broker_url_file": "mine/broker"},
        {"broker_url_file": "mine/broker"},  # of the wrong mode
        {**AWAY, "workers": f"{WRITTEN}"},
    ],
    ids=" ".join,
)
def test_no_command_shows_a_password_of_an_address_that_is_wrong(run, tmp_path, settings):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "broker").write_text(AWAY["broker_url"])
    (tmp_path / "mine" / "broker").chmod(0o644)
    if "broker_url_file" in settings:
        settings = {**settings, "broker_url_file": str(tmp_path / "mine" / "broker")}
    for called, command in COMMANDS:
        if called[-1] in ("list", "doctor", "init", "submit"):
            environment = {f"ROQUE_{name.upper()}": value for name, value in settings.items()}
            line = call(called, command, tmp_path)
            result = CliRunner().invoke(cli, ["--home", str(run.home), *line], env=environment)
            assert_silent(result.output, WORDS)
    assert_silent(written(tmp_path), WORDS)


def test_no_traceback_of_an_error_that_nobody_foresaw_shows_a_password(run, monkeypatch):
    def broken(*_args, **_more):
        raise RuntimeError("boom")

    monkeypatch.setattr("sqlalchemy.engine.base.Engine.connect", broken)
    run(AWAY)
    assert "boom" in (run.home / "errors.log").read_text()


def test_no_service_says_a_password_of_servers_that_are_away_or_do_not_let_it_in(tmp_path, sizes, until):
    processes = {}
    with sizes.new("observatory") as good:
        record = Record(good["database_url"])
        upgrade(record)
        record.close()
        broker = urlsplit(good["broker_url"])
        shut_out = {**good, "broker_url": good["broker_url"].replace(f":{broker.password}@", f":{WRITTEN}@")}
        words = secret_words(good)
        try:
            for size, settings in (("away", AWAY), ("shut_out", shut_out)):
                for name in ("ingest", "planner", "reducer"):
                    processes[size, name] = start(tmp_path / f"{size}_{name}", name, settings)
            for process, port in processes.values():
                until(lambda port=port, process=process: process.poll() is not None or ask(port, "/healthz"))
            time.sleep(8)
            for _, port in processes.values():
                for path in ("/healthz", "/readyz", "/metrics"):
                    assert_silent(ask(port, path), words)
        finally:
            for process, _ in processes.values():
                process.send_signal(signal.SIGTERM)
            for process, _ in processes.values():
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    logs = {folder.name: written(folder) for folder in tmp_path.iterdir()}
    assert len(logs) == 6
    for log in logs.values():
        assert_silent(log, words)
    assert "127.0.0.1" in logs["away_planner"]  # it did say something
    assert "127.0.0.1" in logs["shut_out_reducer"]


def start(folder, name, settings):
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = {**settings, "home": str(folder), "health_port": str(port), "workers": "1", "log_format": "json"}
    environment = {**os.environ, **{f"ROQUE_{key.upper()}": value for key, value in given.items()}}
    with (folder / "service.log").open("wb") as log:
        command = [sys.executable, "-m", f"services.{name}"]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log), port


def ask(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()
    except OSError:
        return ""
