"""Every product leads back to raw bytes."""

from __future__ import annotations

import datetime as dt
import json

from roque import __version__
from roque.archive.models import Master, RawFile, Reduction
from roque.archive.products import Stored, record_product
from roque.archive.provenance import master_input, raw_inputs, reduction_input
from roque.archive.trace import trace
from roque.jobs.kinds import Kind
from roque.jobs.life import submit

NOW = dt.datetime(2024, 5, 2, tzinfo=dt.UTC)


def raw(session, run, name):
    file = RawFile(path=f"/raw/{name}", size=1, mtime_ns=1, sha256=name * 8, data_sha256=name * 8, run_id=run, seen_at=NOW)
    session.add(file)
    session.flush()
    return file


def master(session, run, kind, inputs):
    product = record_product(session, Stored(f"master/{kind}.hcm", kind * 16, 9), kind="master", inputs=inputs)
    made = Master(
        kind=kind, instrument_id=1, run_id=run, product_id=product.id, mode="m", speed="s", xbin=1, ybin=1, filters={},
        windows={}, exposure={}, mjd=60000.0, report={}, made_at=NOW,
    )  # fmt: skip
    session.add(made)
    session.flush()
    return made


def test_a_log_leads_to_recipe_apertures_masters_and_every_raw_file(record, reduction):
    with record.writing() as session:
        light = session.get_one(Reduction, reduction)
        science, biases, flats = (raw(session, light.run_id, name) for name in ("science1", "biases01", "flats001"))
        biases.duplicate = flats.duplicate = True  # not of this run
        session.flush()
        bias = master(session, light.run_id, "bias", [{"kind": "raw", "name": biases.path, "sha256": biases.sha256}])
        sources = [{"kind": "raw", "name": flats.path, "sha256": flats.sha256}, master_input(bias)]
        flat = master(session, light.run_id, "flat", sources)
        light.masters = {"bias": bias.id, "dark": None, "flat": flat.id}
        light.choices = {"bias": "nearest in time", "dark": "none was taken", "flat": "same filter"}
        job = submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": reduction}, key_inputs="x")
        session.expire(light)
        inputs = [reduction_input(light), *raw_inputs(light.run.files)]
        log = record_product(
            session, Stored("log/run1.log", "f" * 64, 5), kind="log", reduction_id=reduction, job_id=job.id, inputs=inputs
        )
        tree = json.loads(json.dumps(trace(session, log)))

    assert (tree["kind"], tree["name"], tree["code_version"]) == ("product", "log/run1.log", __version__)
    assert (tree["job"]["kind"], tree["job"]["parameters"]) == ("export_reduction", {"reduction_id": reduction})
    (reduced,) = tree["from"]
    assert reduced["from"][-1] == {"kind": "raw", "name": science.path, "sha256": science.sha256, "from": []}
    assert (reduced["kind"], reduced["name"], reduced["code_version"]) == ("reduction", "abc", "1")
    found = {(node["kind"], node["name"]): node for node in reduced["from"]}
    assert set(found) == {
        ("recipe", "camera/default v1"),
        ("apertures", "x.ape"),
        ("product", "master/bias.hcm"),
        ("without", "dark"),
        ("product", "master/flat.hcm"),
        ("raw", "/raw/science1"),
    }
    assert found["without", "dark"]["why"] == "none was taken"
    flat_node = found["product", "master/flat.hcm"]
    assert flat_node["why"] == "same filter"
    assert [node["name"] for node in flat_node["from"]] == ["/raw/flats001", "master/bias.hcm"]
    assert [node["name"] for node in flat_node["from"][1]["from"]] == ["/raw/biases01"]


def test_a_product_that_names_no_reduction_still_leads_to_the_one_it_belongs_to(record, reduction):
    with record.writing() as session:
        log = record_product(session, Stored("log/run1.log", "f" * 64, 5), kind="log", reduction_id=reduction)
        tree = trace(session, log)
    assert [node["name"] for node in tree["from"]] == ["abc"]


def test_a_product_still_leads_to_the_bytes_that_its_run_had_when_the_file_has_been_written_over(record, reduction):
    with record.writing() as session:
        light = session.get_one(Reduction, reduction)
        file = raw(session, light.run_id, "science1")
        inputs = [reduction_input(light), *raw_inputs([file])]
        log = record_product(session, Stored("log/run1.log", "f" * 64, 5), kind="log", reduction_id=reduction, inputs=inputs)
        before = file.sha256
        file.run_id, file.sha256 = None, "other"  # as for a new version of the run
        session.flush()
        session.expire(light)
        (reduced,) = trace(session, log)["from"]
    assert [(node["name"], node["sha256"]) for node in reduced["from"] if node["kind"] == "raw"] == [("/raw/science1", before)]


def test_a_calibration_frame_that_a_reduce_file_named_is_shown_with_its_digest(record, reduction):
    with record.writing() as session:
        light = session.get_one(Reduction, reduction)
        light.masters = {"bias": {"file": "/night/bias.hcm", "sha256": "b" * 64}}
        light.choices = {"bias": "named in the reduce file: /night/bias.hcm"}
        log = record_product(session, Stored("log/run1.log", "f" * 64, 5), kind="log", reduction_id=reduction)
        (reduced,) = trace(session, log)["from"]
    found = [node for node in reduced["from"] if node["kind"] == "bias"]
    assert [(node["name"], node["sha256"]) for node in found] == [("/night/bias.hcm", "b" * 64)]
    assert "reduce file" in found[0]["why"]
