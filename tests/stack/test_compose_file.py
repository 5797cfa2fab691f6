"""docker-compose.yml: read alike by docker-compose 1.29 and Compose v2, every container confined; no engine needed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from roque.bus.topology import SERVICES as WORKERS
from roque.settings import Settings

HOUSE = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((HOUSE / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
PROCESSES = ("ingest", "planner", *WORKERS)

# what the schemas of both have: of 1.29 without `version`, and of the Compose specification
TOP = {"services", "networks", "volumes", "secrets"}
ALLOWED = {
    "build", "cap_drop", "command", "cpus", "depends_on", "environment", "healthcheck", "image", "logging", "mem_limit",
    "networks", "pids_limit", "read_only", "restart", "secrets", "security_opt", "shm_size", "stop_grace_period", "tmpfs",
    "user", "volumes",
}  # fmt: skip
BUILD = {"args", "context", "dockerfile"}
HEALTH = {"disable", "interval", "retries", "start_period", "test", "timeout"}


def test_every_key_is_known_to_both():
    assert {key for key in COMPOSE if not key.startswith("x-")} == TOP
    for service in SERVICES.values():
        assert set(service) <= ALLOWED
        assert set(service.get("build", {})) <= BUILD
        assert set(service.get("healthcheck", {})) <= HEALTH
        assert {c for one in service.get("depends_on", {}).values() for c in one} <= {"condition"}
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(int(number) > 10000 for number in service["user"].split(":"))
    assert service["networks"] == (["inside", "cameras"] if name == "ingest" else ["inside"])
    assert {"mem_limit", "cpus", "pids_limit", "tmpfs", "logging"} <= set(service)
    assert all(":size=" in place for place in service["tmpfs"])
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")


def test_only_ingest_reaches_out_and_no_port_is_published():
    assert COMPOSE["networks"] == {"inside": {"internal": True}, "cameras": None}
    assert not any("ports" in service or "network_mode" in service for service in SERVICES.values())


def test_there_is_a_container_for_every_service():
    assert set(SERVICES) == {"database", "broker", "migrate", *PROCESSES}
    for name in PROCESSES:
        assert SERVICES[name]["command"] == ["python", "-m", f"services.{name}"]
        assert importlib.util.find_spec(f"services.{name}.__main__") is not None


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"migrate"}))
def test_every_container_that_stays_is_asked_for_its_health(name):
    assert {"test", "interval", "timeout", "retries"} <= set(SERVICES[name]["healthcheck"])


@pytest.mark.parametrize("name", ["migrate", *PROCESSES])
def test_settings_are_known_and_secrets_are_files(name):
    given = SERVICES[name]["environment"]
    known = {f"ROQUE_{field.upper()}" for field in Settings.model_fields}
    assert set(given) <= known
    assert not {"ROQUE_DATABASE_URL", "ROQUE_BROKER_URL"} & set(given)
    files = {value.removeprefix("/run/secrets/") for value in given.values() if str(value).startswith("/run/secrets/")}
    assert files == set(SERVICES[name]["secrets"])
    assert ("broker_url" in files) == (name in WORKERS)  # the others know the record alone


def test_raw_files_are_read_only():
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", []) if "/data/incoming" in mount]
    assert len(mounts) == 1 + len(WORKERS)
    assert all(mount.endswith(":/data/incoming:ro") for mount in mounts)


@pytest.mark.parametrize("name", ["database", "broker", "migrate"])
def test_an_image_runs_as_the_user_that_its_container_is_given(name):
    lines = (HOUSE / SERVICES[name]["build"]["dockerfile"]).read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == [SERVICES[name]["user"]]


def test_the_packages_of_the_image_are_those_of_the_lock_file():
    spec = importlib.util.spec_from_file_location("runtime_lock", HOUSE / "ops" / "docker" / "runtime_lock.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    image, whole = module.RUNTIME.read_text(), (HOUSE / "requirements.lock").read_text()
    assert image == module.runtime_lock(), "run: .venv/bin/python ops/docker/runtime_lock.py"
    names = set(re.findall(r"(?m)^([A-Za-z0-9_.-]+)==", image))
    assert {"numba", "celery", "psycopg-binary", "hatchling"} <= names
    assert not {"pytest", "mypy", "ruff", "scipy", "testcontainers"} & names
    assert all("--hash=sha256:" in entry for entry in re.split(r"(?m)^(?=[A-Za-z0-9])", image) if entry)
    assert all(line in whole.splitlines() for line in image.splitlines() if "==" in line)
