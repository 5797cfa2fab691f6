import subprocess
import sys
import typing

import click
import pytest
from click.testing import CliRunner

from roque.archive.summaries import STATES
from roque.calibration.choose import Policy
from roque.jobs.kinds import Kind
from roque.jobs.priority import PRIORITIES
from services.cli import calib, job, run_work, selection
from services.cli.main import COMMANDS, cli


def commands(group=cli, path=()):
    """Every command of the tree with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_every_command_has_help_with_an_example_that_calls_it(words):
    result = CliRunner().invoke(cli, [*words, "--help"], terminal_width=80)
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"roque {' '.join(words)}" in result.output.split("Example", 1)[1]
    assert max(map(len, result.output.splitlines())) <= 80


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_what_programs_read_can_be_had_as_json(words):
    command = dict(commands())[words]
    prints_data = words != ("up",) and words[-1] != "demo"
    assert not prints_data or any("--json" in parameter.opts for parameter in command.params)


def test_help_of_the_tree_lists_every_command_and_imports_none():
    code = (
        "import sys\nfrom services.cli.main import cli\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'sqlalchemy', 'astropy', 'pydantic', 'rich', 'numba', 'celery'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)


def test_help_of_each_command_imports_nothing_heavy():
    words = [list(words) for words, _ in commands()]
    code = (
        "import sys\nfrom services.cli.main import cli\n"
        f"for words in {words!r}:\n    try:\n        cli.main([*words, '--help'])\n    except SystemExit:\n        pass\n"
        "heavy = {'numpy', 'sqlalchemy', 'astropy', 'pydantic', 'rich', 'numba', 'celery'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_words_in_help_are_those_that_the_library_knows():
    assert list(STATES) == selection.STATES
    assert list(PRIORITIES) == run_work.PRIORITIES
    assert [kind.value for kind in Kind] == job.KINDS
    assert set(calib.KINDS) <= set(typing.cast(dict, Policy().days))


def test_no_command_at_all_shows_the_help_and_is_wrong_usage():
    result = CliRunner().invoke(cli, [])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage: " in result.stderr


@pytest.mark.parametrize("words", [["nonsense"], ["run", "nonsense"], ["run", "list", "--nonsense"], ["run", "show"]])
def test_wrong_usage_is_one_line_that_says_where_help_is(words):
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("roque: ")
    assert "--help'" in result.stderr
    assert result.stderr.count("\n") == 1
