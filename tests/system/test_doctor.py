"""`roque doctor`: of each thing that can be wrong, a line that says what to do; at both sizes."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from kombu import Connection, Queue
from sqlalchemy import text, update

from roque.archive import Record
from roque.archive.models import Job
from roque.archive.partitions import keep_partitions
from roque.archive.schema import downgrade, upgrade
from roque.bus.topology import DEAD, JOBS, SERVICES, dead_queue, job_queue
from roque.jobs.kinds import Kind
from roque.jobs.life import submit
from roque.settings import load_settings
from services.cli.main import cli


class Patient:
    def __init__(self, home, settings):
        self.home, self.settings = home, settings
        self.record = Record(load_settings(home=home, **settings).database)

    def doctor(self, **changed):
        """Lines by what they are about; the exit status."""
        given = {"incoming": json.dumps([str(self.home.parent)]), **self.settings, **changed}
        environment = {f"ROQUE_{key.upper()}": value for key, value in given.items()}
        result = CliRunner().invoke(cli, ["--home", str(self.home), "doctor", "--json"], env=environment)
        assert "Traceback" not in result.output
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert result.exit_code == int(any(line["state"] == "fail" for line in lines)), result.output
        assert all(line["do"] or line["state"] == "ok" for line in lines)
        found = {}
        for line in lines:
            if line["state"] != "ok" or line["name"] not in found:
                found[line["name"]] = line
        return found

    def put(self, **changed):
        with self.record.writing() as session:
            submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": 1}, key_inputs=1)
            session.execute(update(Job).values(**changed))


@pytest.fixture
def patient(tmp_path, sizes, size):
    home = tmp_path / "elsewhere" / "home"
    home.mkdir(parents=True)
    with sizes.new(size) as settings:
        patient = Patient(home, dict(settings))
        upgrade(patient.record)
        keep_partitions(patient.record, dt.datetime.now(dt.UTC).date())
        if "broker_url" in settings:
            with Connection(settings["broker_url"]) as connection:
                for entity in (*map(job_queue, SERVICES), dead_queue()):
                    entity(connection.default_channel).declare()
        yield patient
        patient.record.close()


def test_where_all_is_well_every_line_is_ok(patient, size):
    found = patient.doctor(incoming="[]")
    apart = ("incoming", "disk", "threads")
    wrong = {name: line for name, line in found.items() if line["state"] != "ok" and name not in apart}
    assert wrong == {}
    assert found["incoming"]["state"] == "warn"
    if size == "observatory":
        assert "PostgreSQL" in found["record"]["detail"]
        assert "RabbitMQ" in found["broker"]["detail"]
        assert "delivery limit 5" in found["queues"]["detail"]
        assert "months" in found["partitions"]["detail"]


def test_tables_that_are_missing_or_old_are_told_with_the_command_that_mends_them(patient):
    downgrade(patient.record, "0002")
    tables = patient.doctor()["tables"]
    assert (tables["state"], "roque db upgrade" in tables["do"]) == ("fail", True)
    downgrade(patient.record, "base")
    tables = patient.doctor()["tables"]
    assert (tables["state"], "no tables" in tables["detail"]) == ("fail", True)


def test_a_clock_that_has_jumped_back_is_seen_by_rows_of_the_future(patient):
    patient.put(created_at=dt.datetime.now(dt.UTC) + dt.timedelta(hours=3))
    line = patient.doctor()["time of rows"]
    assert (line["state"], "2 h" in line["detail"] or "3 h" in line["detail"]) == ("warn", True)


def test_jobs_that_nobody_takes_and_jobs_that_failed_are_told(patient):
    patient.put(state="queued", queued_at=dt.datetime.now(dt.UTC) - dt.timedelta(minutes=10))
    line = patient.doctor()["work"]
    assert (line["state"], "no worker takes the jobs of exporter" in line["detail"]) == ("warn", True)
    patient.put(state="failed")
    line = patient.doctor()["work"]
    assert (line["state"], "1 failed" in line["detail"], "run retry" in line["do"]) == ("warn", True, True)


@pytest.mark.parametrize(("free", "state"), [(10_000_000, "fail"), (1_000_000_000, "warn"), (50_000_000_000, "ok")])
def test_a_disk_without_room_is_told(patient, monkeypatch, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=10**11, used=10**11 - free, free=free))
    assert patient.doctor()["disk"]["state"] == state


def test_folders_that_are_not_there_or_lie_in_each_other_are_told(patient):
    line = patient.doctor(incoming='["/nosuch"]')["incoming"]
    assert (line["state"], "/nosuch is not there" in line["detail"]) == ("fail", True)
    line = patient.doctor(incoming=json.dumps([str(patient.home.parent)]))["incoming"]
    assert (line["state"], "lies in it" in line["detail"]) == ("fail", True)


def test_a_home_that_cannot_be_written_is_told(patient):
    (patient.home / "file").touch()
    line = patient.doctor(products_url=str(patient.home / "file" / "products"))["products"]
    assert (line["state"], "not a directory" in line["detail"]) == ("fail", True)


def test_a_settings_file_with_a_password_that_others_can_read_is_told(patient):
    (patient.home / "settings.toml").write_text('broker_url = "amqp://a:s3cret@b/c"\n')
    (patient.home / "settings.toml").chmod(0o644)
    lines = patient.doctor(broker_url="amqp://127.0.0.1:1//")
    assert (lines["settings file"]["state"], "chmod 600" in lines["settings file"]["do"]) == ("fail", True)
    assert "s3cret" not in str(lines)


def test_a_secret_file_of_the_wrong_mode_and_a_wrong_setting_are_told(patient, tmp_path):
    secret = tmp_path / "broker"
    secret.write_text("amqp://a:s3cret@b/c")
    secret.chmod(0o644)
    changed = {"broker_url": "", "broker_url_file": str(secret)}
    line = patient.doctor(**changed)["settings"]
    assert (line["state"], str(secret) in line["detail"], "chmod" in line["do"]) == ("fail", True, True)
    line = patient.doctor(workers="many")["settings"]
    assert (line["state"], "workers" in line["detail"]) == ("fail", True)


@pytest.mark.parametrize(
    ("setting", "address", "name"),
    [
        ("database_url", "postgresql://roque:s3cret@127.0.0.1:1/roque", "record"),
        ("broker_url", "amqp://roque:s3cret@127.0.0.1:1//", "broker"),
    ],
)
def test_a_server_that_does_not_answer_is_told_without_its_password(patient, setting, address, name):
    line = patient.doctor(**{setting: address})[name]
    assert line["state"] == "fail"
    assert "127.0.0.1" in line["detail"]
    assert "s3cret" not in str(line)


class TestAtTheObservatory:
    @pytest.fixture
    def size(self):
        return "observatory"

    def test_a_wrong_password_or_host_is_told_without_it(self, patient):
        broker = patient.settings["broker_url"]
        user, _, rest = broker.partition("://")[2].partition("@")
        wrong = f"amqp://{user.partition(':')[0]}:s3cret@{rest}"
        lines = patient.doctor(broker_url=wrong)
        assert (lines["broker"]["state"], "user and password" in lines["broker"]["detail"]) == ("fail", True)
        nosuch = {name: f"{url.rpartition('/')[0]}/nosuch" for name, url in patient.settings.items()}
        lines = patient.doctor(**nosuch)
        assert (lines["broker"]["state"], "virtual host" in lines["broker"]["detail"]) == ("fail", True)
        assert (lines["record"]["state"], "createdb" in lines["record"]["do"]) == ("fail", True)
        assert "s3cret" not in str(lines)

    def test_a_queue_of_other_arguments_is_told_with_what_to_do(self, patient):
        with Connection(patient.settings["broker_url"]) as connection:
            channel = connection.default_channel
            channel.queue_delete("reducer.v1")
            other = Queue("reducer.v1", JOBS, "job.reducer", durable=True, queue_arguments={"x-queue-type": "classic"})
            other(channel).declare()
        line = patient.doctor()["queues"]
        assert (line["state"], "reducer.v1" in line["detail"], "inequivalent arg" in line["detail"]) == ("fail", True, True)
        assert "rabbitmqctl delete_queue reducer.v1" in line["do"]

    def test_dead_letters_and_queues_that_nobody_declared_are_told(self, patient):
        with Connection(patient.settings["broker_url"]) as connection:
            connection.default_channel.queue_delete("exporter.v1")
            connection.Producer().publish({"v": 99}, exchange=DEAD, routing_key="job.reducer", delivery_mode=2)
        lines = patient.doctor()
        assert (lines["queues"]["state"], "exporter.v1" in lines["queues"]["detail"]) == ("warn", True)
        assert lines["dead letters"]["state"] == "warn"

    def test_a_clock_that_differs_from_the_servers_is_told(self, patient, monkeypatch):
        for seconds, state in ((5, "warn"), (60, "fail")):
            later = dt.timedelta(seconds=seconds)
            with monkeypatch.context() as patch:
                patch.setattr("roque.jobs.outbox.clock", lambda _, later=later: dt.datetime.now(dt.UTC) + later)
                assert patient.doctor()["clock"]["state"] == state

    def test_partitions_that_are_not_ahead_are_told(self, patient):
        with patient.record.writing() as session:
            of = "FROM pg_inherits WHERE inhparent = 'measurement'::regclass"
            names = session.scalars(text(f"SELECT inhrelid::regclass::text {of}"))
            for name in names.all():
                session.execute(text(f"DROP TABLE {name}"))
        assert patient.doctor()["partitions"]["state"] == "warn"
