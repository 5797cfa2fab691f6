"""ops/stack.sh says what is missing, and takes its variables from the environment before the file .env."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "ops" / "stack.sh"
NO_ENGINE = '[ "$1" != info ]'
SHOWS = 'echo "$ROQUE_STACK $ROQUE_RAW_FOLDER $ROQUE_SECRETS_FOLDER $*"'


@pytest.fixture
def house(tmp_path):
    """A folder with the script, and on the path nothing but what it needs; `docker` is what a test says."""
    (tmp_path / "ops").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(SCRIPT, tmp_path / "ops")
    for tool in ("dirname", "realpath"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    return tmp_path


def put(house, name, body):
    (house / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
    (house / "bin" / name).chmod(0o755)


def run(house, *words, **environment):
    command = [shutil.which("sh"), "ops/stack.sh", *words]
    given = {"PATH": str(house / "bin"), **environment}
    return subprocess.run(command, cwd=house, env=given, capture_output=True, text=True)


def test_without_docker_it_says_what_to_install(house):
    done = run(house, "up")
    assert done.returncode == 1
    assert "apt install docker.io" in done.stderr


def test_without_an_engine_it_says_so(house):
    put(house, "docker", NO_ENGINE)
    done = run(house, "up")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no Docker engine answers" in done.stderr


def test_without_docker_compose_it_says_what_to_install(house):
    put(house, "docker", '[ "$1" = info ]')
    done = run(house, "up")
    assert done.returncode == 1
    assert "there is no docker-compose" in done.stderr


@pytest.mark.parametrize("version", [1, 2])
def test_either_docker_compose_is_used(house, version):
    put(house, "docker", SHOWS if version == 2 else '[ "$1" = info ]')
    put(house, "docker-compose", SHOWS)
    first = "compose " if version == 2 else ""
    done = run(house, "ps", "-q")
    assert done.stdout.splitlines()[-1] == f" {house}/stack/incoming {house}/stack/secrets {first}--project-name roque ps -q"


def test_variables_of_the_environment_go_before_those_of_the_file(house):
    put(house, "docker", SHOWS)
    (house / ".env").write_text("ROQUE_STACK=file\nROQUE_RAW_FOLDER=./raw\nROQUE_SECRETS_FOLDER=/from/file\n")
    done = run(house, "ps", ROQUE_STACK="environment", ROQUE_SECRETS_FOLDER="/from/environment")
    where = f"environment {house}/raw /from/environment"
    assert done.stdout.splitlines()[-1] == f"{where} compose --project-name environment ps"
