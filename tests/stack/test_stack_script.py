"""ops/stack.sh says what is missing, takes variables from the environment before the file .env, and brings what roque makes."""

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


def run(house, *words, cwd=None, said="", **environment):
    command = [shutil.which("sh"), str(house / "ops" / "stack.sh"), *words]
    given = {"PATH": str(house / "bin"), **environment}
    return subprocess.run(command, cwd=cwd or house, env=given, input=said, capture_output=True, text=True)


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


class Within:
    """A container of the reducer that is a folder, with a roque that does what a test says; called from another folder."""

    def __init__(self, house):
        self.house, self.home, self.here = house, house / "home", house / "here"
        for folder in (self.home, self.here):
            folder.mkdir()
        for tool in ("date", "sh", "mkdir", "find", "tar", "rm", "cat", "true"):
            (house / "bin" / tool).symlink_to(shutil.which(tool))
        into = 'while [ "$1" != reducer ]; do shift; done; shift; cd "$HOME_WITHIN" && exec "$@"'
        put(house, "docker", f'case " $* " in *" exec "*) {into} ;; esac')

    def roque(self, *words, said=""):
        return run(self.house, "roque", *words, cwd=self.here, said=said, HOME_WITHIN=str(self.home))


@pytest.fixture
def within(house):
    return Within(house)


def test_what_roque_makes_within_a_container_comes_to_the_folder_of_the_caller(within):
    put(within.house, "roque", 'mkdir "$1"; cat > "$1/file"; echo "$2"; echo warned >&2; exit 3')
    done = within.roque("a folder", "two  words; 'and' $(more)", said="what was piped in")
    assert (done.returncode, done.stdout, done.stderr) == (3, "two  words; 'and' $(more)\n", "warned\n")
    assert [path.read_text() for path in within.here.rglob("*") if path.is_file()] == ["what was piped in"]
    assert (within.here / "a folder" / "file").is_file()
    assert list(within.home.iterdir()) == []


def test_a_command_that_makes_no_file_ends_as_it_does_on_a_laptop(within):
    put(within.house, "roque", "echo said")
    done = within.roque("run", "list")
    assert (done.returncode, done.stdout, done.stderr) == (0, "said\n", "")
    assert list(within.here.iterdir()) == list(within.home.iterdir()) == []


def test_a_file_that_is_there_is_replaced_only_where_that_was_asked_for(within):
    put(within.house, "roque", "echo new > run0004.fits")
    there = within.here / "run0004.fits"
    there.write_text("mine")
    done = within.roque("hlog", "export")
    assert done.returncode != 0
    assert "run0004.fits" in done.stderr
    assert f"not all that was made came to {within.here}" in done.stderr
    assert there.read_text() == "mine"
    assert within.roque("hlog", "export", "--overwrite").returncode == 0
    assert there.read_text() == "new\n"
    assert list(within.home.iterdir()) == []


def test_without_a_reducer_it_says_so(within):
    put(within.house, "docker", 'case " $* " in *" exec "*) exit 1 ;; esac')
    done = within.roque("run", "list")
    assert done.returncode == 1
    assert done.stderr.startswith("stack.sh: no reducer runs")
