"""The golden night in containers: the laptop's measurements, bit for bit, from processes that may do nothing else."""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HOUSE = Path(__file__).resolve().parents[2]
MEASURED = Path(__file__).with_name("measured.py")
ROQUE = [sys.executable, "-c", "from services.cli.main import main; main()"]
SERVICES = ("ingest", "planner", "calibrator", "reducer", "exporter")
SERVERS = ("database", "broker")
SCALE = {"reducer": 2}
SCALING = [f"--scale={service}={number}" for service, number in SCALE.items()]

# files end soon, and no run waits for masters that the night does not have
TIMES = {"ROQUE_SILENT_SECONDS": "3", "ROQUE_CALIBRATION_WAIT_SECONDS": "5"}

pytestmark = pytest.mark.stack


class Stack:
    """The containers, under a name, with folders and volumes of their own."""

    def __init__(self, folder: Path) -> None:
        self.raw = folder / "incoming"
        self.secrets = folder / "secrets"
        self.raw.mkdir()
        self.name = f"roque-test-{secrets.token_hex(4)}"
        self.environment = {
            **os.environ, **TIMES, "ROQUE_STACK": self.name, "ROQUE_RAW_FOLDER": str(self.raw),
            "ROQUE_SECRETS_FOLDER": str(self.secrets),
            # not the tags of a stack that is in use on this machine
            "ROQUE_IMAGE": "roque-test", "ROQUE_DATABASE_IMAGE": "roque-test-database",
            "ROQUE_BROKER_IMAGE": "roque-test-broker",
        }  # fmt: skip

    def do(self, *words: str, **more) -> subprocess.CompletedProcess[bytes]:
        """Run ops/stack.sh, which must succeed."""
        command = ["sh", str(HOUSE / "ops" / "stack.sh"), *words]
        done = subprocess.run(command, env=self.environment, capture_output=True, **more)
        assert done.returncode == 0, (done.stdout + done.stderr).decode()[-5000:] + self.last_words()
        return done

    def last_words(self) -> str:
        """What the containers said last."""
        command = ["sh", str(HOUSE / "ops" / "stack.sh"), "logs", "--no-color", "--tail", "20"]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True).stdout

    def within(self, service: str, *words: str, **more) -> bytes:
        """Run a command within a container."""
        return self.do("exec", "-T", service, *words, **more).stdout

    def container(self, service: str) -> dict:
        """What the engine knows of a container of a service."""
        labels = f"label=com.docker.compose.project={self.name}", f"label=com.docker.compose.service={service}"
        names = engine("ps", "--all", "--quiet", "--filter", labels[0], "--filter", labels[1]).split()
        assert len(names) == SCALE.get(service, 1)
        return json.loads(engine("inspect", names[0]))[0]

    def measured(self) -> dict[str, np.ndarray]:
        """Measurements by run and reduction, once the stack is at rest."""
        return dict(np.load(io.BytesIO(self.within("ingest", "python", "-", input=MEASURED.read_bytes()))))


def engine(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, check=True, text=True).stdout


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        stack.do("up", *SCALING)
        yield stack
    finally:
        stack.do("down", "--volumes", "--timeout", "20")


@pytest.fixture(scope="module")
def night(golden, tmp_path_factory):
    """Raw runs of a night in a folder that a container may read."""
    folder = tmp_path_factory.mktemp("night") / "incoming"
    folder.mkdir()
    for file in sorted((golden / "hipercam" / "raw").iterdir()):
        shutil.copy(file, folder)
    return folder


@pytest.fixture(scope="module")
def on_the_laptop(night, tmp_path_factory):
    home = tmp_path_factory.mktemp("laptop") / "home"
    environment = {**os.environ, **TIMES, "ROQUE_HOME": str(home), "ROQUE_INCOMING": json.dumps([str(night)])}
    done = subprocess.run([*ROQUE, "up", "--until-idle"], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = subprocess.run([sys.executable, MEASURED], env=environment, capture_output=True, timeout=600)
    assert found.returncode == 0, found.stderr.decode()
    return dict(np.load(io.BytesIO(found.stdout)))


def insist_on_the_laptops_bits(found, on_the_laptop):
    assert {name.split()[0] for name in on_the_laptop} >= {"run0004", "run0005", "run0006"}
    assert sorted(found) == sorted(on_the_laptop)  # the same runs, by reductions of the same keys
    for name, measurements in on_the_laptop.items():
        assert found[name].dtype == measurements.dtype
        assert len(measurements) > 0
        assert found[name].tobytes() == measurements.tobytes(), name


def test_the_golden_night_is_measured_as_on_the_laptop_bit_for_bit(stack, night, on_the_laptop):
    for file in night.iterdir():
        shutil.copy(file, stack.raw / f".{file.name}")
        (stack.raw / f".{file.name}").rename(stack.raw / file.name)
    insist_on_the_laptops_bits(stack.measured(), on_the_laptop)


def test_a_log_comes_out_of_the_containers_to_where_it_was_asked_for(stack, night, tmp_path):
    said = stack.do("roque", "hlog", "export", "run0004", "--format", "fits", "--output", "logs", cwd=tmp_path).stdout
    assert said == b"logs/run0004.fits\n"
    kept = json.loads(stack.do("roque", "product", "list", "--run", "run0004", "--kind", "fits_log", "--json").stdout)
    made = stack.do("roque", "product", "get", str(kept["id"]), "--output", "-").stdout
    assert (tmp_path / "logs" / "run0004.fits").read_bytes() == made
    assert [path.name for path in tmp_path.rglob("*")] == ["logs", "run0004.fits"]


@pytest.mark.parametrize("service", SERVICES)
def test_doctor_finds_every_container_well(stack, service):
    said = stack.within(service, "roque", "doctor").decode()  # which fails where something is wrong
    assert ("queues        quorum queues" in said) == (service not in ("ingest", "planner"))


@pytest.mark.parametrize("service", [*SERVICES, *SERVERS])
def test_a_container_may_do_nothing_that_it_does_not_need(stack, service):
    status = dict(line.split(":", 1) for line in stack.within(service, "cat", "/proc/1/status").decode().splitlines())
    assert all(int(number) > 10000 for number in status["Uid"].split())
    assert all(int(status[name], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
    assert int(status["NoNewPrivs"]) == 1
    refused = stack.within(service, "sh", "-c", "touch /here /etc/here /opt/here /usr/bin/here 2>&1; true").decode()
    assert refused.count("Read-only file system") == 4
    host = stack.container(service)["HostConfig"]
    assert host["Memory"] > 0
    assert host["NanoCpus"] > 0
    assert host["PidsLimit"] > 0


@pytest.mark.parametrize("service", [*SERVICES, *SERVERS])
def test_no_container_publishes_a_port_or_reaches_further_than_its_fellows(stack, service):
    container = stack.container(service)
    assert not any(container["NetworkSettings"]["Ports"].values())
    networks = [json.loads(engine("network", "inspect", name))[0] for name in container["NetworkSettings"]["Networks"]]
    outside = [network for network in networks if not network["Internal"]]
    assert len(networks) - len(outside) == 1
    # ingest asks camera file servers, and nobody else shares that way out
    assert [len(network["Containers"]) for network in outside] == ([1] if service == "ingest" else [])


def test_each_secret_is_read_by_its_own_containers_alone_and_shown_nowhere(stack):
    passwords = []
    for service, name in (("database", "database_password"), ("broker", "broker_password.conf")):
        facts = stack.within(service, "sh", "-c", f"stat -c '%a %u' /run/secrets/{name}; id -u; cat /run/secrets/{name}")
        mode, owner, user, *words = facts.decode().split()
        assert (mode, owner) == ("400", user)
        passwords.append(words[-1])
    for service in SERVICES:
        found = stack.within(service, "sh", "-c", "stat -c '%a %u %n' /run/secrets/*").decode()
        assert {line.split()[:2] == ["400", "10001"] for line in found.splitlines()} == {True}
        assert ("broker_url" in found) == (service not in ("ingest", "planner"))
    shown = stack.do("logs", "--no-color").stdout + stack.do("config").stdout
    shown += b"".join(json.dumps(stack.container(service)).encode() for service in (*SERVICES, *SERVERS))
    for password in passwords:
        assert len(password) == 48
        assert password.encode() not in shown


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_tells_its_fellows_how_it_is(stack, service):
    asks = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())"
    told = {
        page: stack.within("planner", "python", "-c", asks, f"http://{service}:8080/{page}").decode()
        for page in ("healthz", "readyz", "metrics")
    }
    assert "# TYPE roque_" in told["metrics"]
    stack.within(service, "bash", "/opt/roque/healthy")


def test_the_broker_knows_one_user_and_one_virtual_host(stack):
    users = stack.within("broker", "rabbitmqctl", "--quiet", "list_users").decode()
    hosts = stack.within("broker", "rabbitmqctl", "--quiet", "list_vhosts").decode()
    assert [line.split() for line in users.splitlines()[1:]] == [["roque", "[]"]]
    assert hosts.split() == ["name", "roque"]
    waits = stack.within("broker", "rabbitmqctl", "eval", "application:get_env(rabbit, consumer_timeout).").decode()
    assert waits.strip() == "{ok,1800000}"


def test_the_database_refuses_everybody_but_roque_with_its_password(stack):
    for stranger in ("postgres", "roque"):
        knock = f"import psycopg; psycopg.connect(host='database', user='{stranger}', dbname='{stranger}', password='x')"
        said = stack.within("planner", "sh", "-c", f'python -c "{knock}" 2>&1 | tail -n 1').decode()
        assert "password authentication failed" in said or "no pg_hba.conf entry" in said


def test_everything_stops_when_asked_and_comes_up_again_with_what_it_had(stack, on_the_laptop):
    stack.do("stop")
    ended = {service: stack.container(service)["State"]["ExitCode"] for service in (*SERVICES, *SERVERS)}
    assert ended == dict.fromkeys(ended, 0)
    stack.do("up", *SCALING)
    insist_on_the_laptops_bits(stack.measured(), on_the_laptop)


def test_a_backup_brings_all_of_it_back_when_the_volumes_are_lost(stack, on_the_laptop, tmp_path):
    stack.do("roque", "backup", "saved", cwd=tmp_path)
    stack.do("down", "--volumes", "--timeout", "20")
    stack.do("up", "migrate")
    stack.do("run", "--rm", "-T", "-v", f"{tmp_path / 'saved'}:/backup:ro", "reducer", "roque", "restore", "/backup")
    stack.do("up", *SCALING)
    stack.do("roque", "archive", "verify", "--raw")
    insist_on_the_laptops_bits(stack.measured(), on_the_laptop)
