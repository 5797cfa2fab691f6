"""`roque init`: files that explain themselves, that load, that nobody else can read, and that are never overwritten."""

from __future__ import annotations

import json
import stat

import pytest
from click.testing import CliRunner

from roque.settings import Settings, load_settings
from services.cli.main import cli


@pytest.fixture
def init(tmp_path, monkeypatch):
    monkeypatch.delenv("ROQUE_HOME", raising=False)

    def run(*words, **environment):
        return CliRunner().invoke(cli, ["--home", str(tmp_path / "home"), "init", *words], env=environment)

    run.home = tmp_path / "home"
    return run


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_laptop_gets_every_setting_explained_and_its_defaults_kept(init, tmp_path):
    assert init("--incoming", str(tmp_path)).exit_code == 0
    text = (init.home / "settings.toml").read_text()
    for name, field in Settings.model_fields.items():
        assert name == "home" or (f"# {field.description}\n" in text and f"{name} = " in text)
    assert load_settings(home=init.home) == Settings(home=init.home, incoming=[tmp_path])
    assert mode(init.home / "settings.toml") == 0o600


def test_every_line_that_is_commented_out_can_be_set(init):
    init()
    file = init.home / "settings.toml"
    lines = file.read_text().splitlines()
    examples = [line.removeprefix("# ") for line in lines if " = " in line and not line.startswith("# The environment")]
    assert len(examples) == len(Settings.model_fields) - 1
    secret = init.home / "secret"
    secret.write_text("amqp://a:b@c/d")
    secret.chmod(0o600)
    for line in examples:
        file.write_text(line.replace("/run/secrets/broker_url", str(secret)) + "\n")
        if "/run/secrets/database_url" not in line:
            load_settings(home=init.home)


def test_an_observatory_gets_its_addresses_into_files_that_nobody_else_can_read(init):
    database, broker = "postgresql://roque:s3cret@db/roque", "amqp://roque:s3cret@rabbit/roque"
    result = init("--size", "observatory", "--json", ROQUE_DATABASE_URL=database, ROQUE_BROKER_URL=broker)
    assert result.exit_code == 0
    assert "s3cret" not in result.output
    written = [json.loads(line)["name"] for line in result.stdout.splitlines()]
    assert written == [str(init.home / name) for name in ("secrets/database_url", "secrets/broker_url", "settings.toml")]
    assert "s3cret" not in (init.home / "settings.toml").read_text()
    assert [mode(init.home / "secrets" / name) for name in ("database_url", "broker_url")] == [0o600, 0o600]
    assert mode(init.home / "secrets") == 0o700
    settings = load_settings(home=init.home)
    assert (settings.database, settings.broker, settings.health_port) == (database, broker, 9180)


def test_without_addresses_it_says_where_to_put_them(init):
    result = init("--size", "observatory")
    assert result.exit_code == 0
    assert f"put the address into {init.home / 'secrets' / 'broker_url'}" in result.stderr
    assert "PASSWORD" in (init.home / "secrets" / "broker_url").read_text()


def test_nothing_is_overwritten(init):
    init.home.mkdir()
    (init.home / "settings.toml").write_text("workers = 3\n")
    refused = init("--size", "observatory")
    assert (refused.exit_code, "settings already" in refused.stderr) == (1, True)
    assert not (init.home / "secrets").exists()
    (init.home / "settings.toml").unlink()
    (init.home / "secrets").mkdir()
    (init.home / "secrets" / "broker_url").write_text("mine")
    assert "is kept" in init("--size", "observatory").stderr
    assert (init.home / "secrets" / "broker_url").read_text() == "mine"
