"""The command as people and scripts start it: time, pipes, exit statuses, terminals."""

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROQUE = Path(sys.executable).with_name("roque")


def start(filled, *words, **more):
    environment = {**os.environ, "ROQUE_HOME": str(filled.home), "COLUMNS": "80"}
    return subprocess.run([ROQUE, *words], capture_output=True, text=True, env=environment, **more)


def quickest(filled, *words, times=5):
    """Shortest CPU time of some starts, s: other work on the machine must not count."""
    spent = []
    for _ in range(times):
        before = os.times()
        assert start(filled, *words).returncode == 0
        after = os.times()
        spent.append(after.children_user - before.children_user + after.children_system - before.children_system)
    return min(spent)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["run", "list", "--help"], ["sql", "--help"]])
def test_help_and_version_answer_at_once(filled, words):
    assert quickest(filled, *words) < 0.2


def test_a_list_of_runs_is_there_in_a_moment(filled, start_cost):
    assert quickest(filled, "run", "list") < 2.0 * start_cost


def test_data_go_to_stdout_and_messages_to_stderr(filled):
    done = start(filled, "job", "list", "--limit", "1", "--json")
    assert done.returncode == 0
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 1
    assert "only the newest 1" in done.stderr


def test_the_home_folder_may_come_from_the_environment_or_an_option(filled, tmp_path):
    assert start(filled, "run", "list").returncode == 0
    assert start(filled, "--home", str(tmp_path / "none"), "run", "list").returncode == 3


def test_a_reader_that_has_had_enough_is_no_error(filled):
    command = f"'{ROQUE}' --home '{filled.home}' sql --limit 100000 'SELECT * FROM measurements m, frames f' | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout.startswith("run")
    assert done.stderr == "" or done.stderr.startswith("only the first")


def test_on_a_terminal_states_are_coloured_and_lines_fit(filled):
    leader, follower = pty.openpty()
    environment = {**os.environ, "ROQUE_HOME": str(filled.home), "COLUMNS": "80", "TERM": "xterm"}
    process = subprocess.Popen([ROQUE, "run", "list"], stdout=follower, env=environment)
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # how a pseudo-terminal says that the other side has gone
            break
        if not part:
            break
        shown += part
    os.close(leader)
    assert process.wait() == 0
    assert b"\x1b[31mfailed" in shown
    lines = shown.decode().replace("\x1b[0m", "").replace("\x1b[1m", "").splitlines()
    assert any(line.startswith("    cut inside frame 21") for line in lines)


def test_a_fault_of_the_program_ends_in_one_line_and_a_kept_traceback(filled):
    # a record whose rows are not what the code expects
    with filled.record.writing() as session:
        session.connection().exec_driver_sql('UPDATE run SET problems = \'{"not": "a list"}\'')
    done = start(filled, "run", "list")
    assert done.returncode == 1
    assert done.stderr.startswith("roque: unexpected ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "Traceback" in (filled.home / "errors.log").read_text()


def test_ctrl_c_ends_a_command_without_a_traceback(filled, tmp_path):
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    process = subprocess.Popen(
        [ROQUE, "--home", str(filled.home), "sql", "--timeout", "60", endless],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(2.0)
    process.send_signal(2)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == "roque: stopped"
