"""Addresses with passwords: from a file or the environment, wrong ones refused at the start, never shown."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from roque.errors import BadInput
from roque.settings import load_settings

DATABASE = "postgresql://roque:planted-7fa1@database/roque"
BROKER = "amqp://roque:planted-7fa1@broker/roque"
GIVEN = {"database_url": DATABASE, "broker_url": BROKER}


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch):
    for name in [name for name in os.environ if name.startswith("ROQUE_")]:
        monkeypatch.delenv(name)


def secret(tmp_path, text, mode=0o400):
    file = tmp_path / "address"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return file


def refused(tmp_path, **given) -> BadInput:
    with pytest.raises(BadInput) as caught:
        load_settings(home=tmp_path, **given)
    assert "planted" not in str(caught.value)
    assert "planted" not in str(caught.getrepr(style="long"))
    return caught.value


@pytest.mark.parametrize(("setting", "part"), [("database_url", "database"), ("broker_url", "broker")])
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_an_address_is_read_from_a_file_of_its_own(tmp_path, setting, part, ending):
    file = secret(tmp_path, GIVEN[setting] + ending)
    settings = load_settings(home=tmp_path, **{f"{setting}_file": file})
    assert getattr(settings, part) == GIVEN[setting]
    assert "planted" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize("setting", GIVEN)
@pytest.mark.parametrize("mode", [0o440, 0o404, 0o420, 0o402, 0o610, 0o777])
def test_a_file_that_others_may_use_is_refused(tmp_path, setting, mode):
    file = secret(tmp_path, GIVEN[setting], mode)
    error = refused(tmp_path, **{f"{setting}_file": file})
    assert error.file == str(file)
    assert error.place == f"setting {setting}_file"
    assert f"mode {mode:04o}" in error.message
    assert f"chmod 0400 {file}" in error.remedy


@pytest.mark.parametrize("setting", GIVEN)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
        (f"{DATABASE}\n{BROKER}\n", "more than an address"),
        (b"postgresql://planted\xff@host", "more than an address"),
        ("planted", "no address that can be used"),
        ("mysql://roque:planted@host/roque", "no address that can be used"),
        ("://planted", "no address that can be used"),
        ("postgresql://roque:planted/7@host/roque", "no address that can be used"),
        ("amqp://roque:planted/7@host/roque", "no address that can be used"),
    ],
)
def test_a_file_with_something_else_in_it_is_refused(tmp_path, setting, text, said):
    file = secret(tmp_path, text)
    error = refused(tmp_path, **{f"{setting}_file": file})
    assert (error.file, error.place) == (str(file), f"setting {setting}_file")
    assert said in error.message
    assert error.remedy


@pytest.mark.parametrize("setting", GIVEN)
def test_a_file_that_is_missing_or_a_folder_is_refused(tmp_path, setting):
    assert "No such file" in refused(tmp_path, **{f"{setting}_file": tmp_path / "none"}).message
    assert "not a file" in refused(tmp_path, **{f"{setting}_file": tmp_path}).message


@pytest.mark.parametrize("setting", GIVEN)
def test_an_address_and_a_file_are_one_too_many(tmp_path, setting, monkeypatch):
    file = secret(tmp_path, GIVEN[setting])
    monkeypatch.setenv(f"ROQUE_{setting.upper()}_FILE", str(file))
    error = refused(tmp_path, **{setting: GIVEN[setting]})
    assert error.place == f"settings {setting} and {setting}_file"


@pytest.mark.parametrize("setting", GIVEN)
def test_a_wrong_address_is_refused_wherever_it_comes_from(tmp_path, setting, monkeypatch):
    monkeypatch.setenv(f"ROQUE_{setting.upper()}", "postgres//roque:planted@host")
    error = refused(tmp_path)
    assert error.place == f"setting {setting}"
    assert "it begins with" in error.remedy


def test_a_command_says_what_is_wrong_and_ends(tmp_path):
    file = secret(tmp_path, DATABASE, 0o644)
    command = [sys.executable, "-c", "from services.cli.main import main; main()", "run", "list"]
    environment = {**os.environ, "ROQUE_HOME": str(tmp_path), "ROQUE_DATABASE_URL_FILE": str(file)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert f"chmod 0400 {file}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "planted" not in done.stdout + done.stderr


def test_the_processes_of_a_laptop_are_given_the_file_and_not_what_is_in_it(tmp_path):
    from services.cli.system import _environment

    settings = load_settings(home=tmp_path, database_url_file=secret(tmp_path, DATABASE))
    handed_on = _environment(settings)
    assert handed_on["ROQUE_DATABASE_URL_FILE"] == str(tmp_path / "address")
    assert not re.search("planted", json.dumps(dict(handed_on)))
