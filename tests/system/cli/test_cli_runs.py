"""`roque run`, `job` and `calib` on a record with a night in many states."""

import json

import pytest
from sqlalchemy import select

from roque.archive.models import Job, RawFile, Run

NIGHT = "hipercam/2026-11-01"


def lines(result):
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_runs_are_listed_by_night_and_time_with_what_each_has_come_to(roque):
    found = lines(roque("run", "list", "--json"))
    assert [(run["name"], run["state"]) for run in found] == [
        (f"{NIGHT}/run0001", "done"),
        (f"{NIGHT}/run0002", "done"),
        (f"{NIGHT}/run0003", "done"),
        (f"{NIGHT}/run0003", "conflict"),
        (f"{NIGHT}/run0004", "waiting"),
        (f"{NIGHT}/run0005", "failed"),
        ("unknown/2026-11-01/notes", "failed"),
        ("hipercam/2026-11-02/run0001", "registered"),
    ]
    assert found[2] | {"frames": 20, "frames_expected": 22, "reduction": "a1b2c3d4e5f6", "bad_times": 1} == found[2]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--night", "2026-11-02"], ["run0001"]),
        (["--since", "2026-11-02"], ["run0001"]),
        (["--state", "waiting"], ["run0004"]),
        (["--state", "growing"], ["run0004"]),
        (["--state", "failed"], ["run0005", "notes"]),
        (["--state", "superseded"], []),
        (["--kind", "flat"], ["run0002"]),
        (["--object", "hs 07"], ["run0003", "run0003", "run0004"]),
        (["--object", "%"], []),
        (["--instrument", "unknown"], ["notes"]),
    ],
    ids=" ".join,
)
def test_lists_of_runs_can_be_narrowed(roque, options, names):
    assert [run["name"].split("/")[-1] for run in lines(roque("run", "list", "--json", *options))] == names


def test_a_list_for_people_says_what_is_wrong(roque):
    shown = roque("run", "list").stdout.splitlines()
    assert shown[0].split() == ["RUN", "KIND", "OBJECT", "FRAMES", "STATE", "DETAIL"]
    assert any("run0005" in line and "no star was found" in line for line in shown)
    assert any("run0003" in line and "20/22" in line for line in shown)


@pytest.mark.parametrize("name", ["run0005", "2026-11-01/run0005", f"{NIGHT}/run0005"])
def test_a_run_answers_to_its_full_name_and_to_shorter_ones_that_are_unique(roque, name):
    assert json.loads(roque("run", "show", name, "--json").stdout)["name"] == f"{NIGHT}/run0005"


def test_a_name_that_several_runs_have_lists_them(roque):
    result = roque("run", "show", "run0001")
    assert result.exit_code == 4
    assert result.stdout == ""
    assert f"{NIGHT}/run0001, hipercam/2026-11-02/run0001" in result.stderr


@pytest.mark.parametrize("name", ["run9999", "2026-11-03/run0001", "ultracam/2026-11-01/run0001", "x/run0001", "a/b/c/d", ""])
def test_a_run_that_is_not_there_is_not_found(roque, name):
    result = roque("run", "show", name)
    assert result.exit_code == 4
    assert result.stderr.startswith("roque: ")


def test_a_name_in_use_hides_the_conflicting_version(roque):
    report = json.loads(roque("run", "show", "run0003", "--json").stdout)
    assert report["version"] == 1
    assert [(other["version"], other["state"]) for other in report["other_versions"]] == [(2, "conflict")]


def test_the_page_of_a_run_has_all_that_an_operator_needs(roque, filled):
    page = roque("run", "show", "run0003").stdout
    for text in (
        str(filled.raw / "run0003.fits"),
        "20 read, 22 expected, 2 missing, 1 with a bad time",
        "cut inside frame 21: 4096 bytes are missing",
        "byte 1843200",
        "copy the file again",
        "Reduction a1b2c3d4e5f6  done",
        "default v1",
        "taken 3.6 hours before, the only one that matches",
        "CCD 2, aperture 1, frame 11: no fit",
        "2 done",
        "conflict",
    ):
        assert text in page


def test_the_page_of_a_failed_run_says_why_and_what_to_do(roque):
    page = roque("run", "show", "run0005").stdout
    assert "no star was found" in page
    assert "frame 1, CCD 2" in page
    assert "name apertures with --apertures" in page
    assert f"roque run retry {NIGHT}/run0005" in page


def test_the_page_of_a_file_that_is_no_run_shows_its_error_and_no_read_out(roque):
    page = roque("run", "show", "notes").stdout
    assert "not a FITS file" in page
    assert "byte 0" in page


def test_the_page_of_a_calibration_run_shows_its_master(roque):
    report = json.loads(roque("run", "show", "run0002", "--json").stdout)
    assert [(master["kind"], master["state"]) for master in report["masters"]] == [("flat", "good")]


def test_retrying_a_run_starts_its_failed_jobs_afresh_and_opens_it_for_the_planner(roque, filled):
    result = roque("run", "retry", "run0005")
    assert result.exit_code == 0
    assert result.stdout.split() == [f"{NIGHT}/run0005"]
    assert "1 stopped job started afresh" in result.stderr
    with filled.record.reading() as session:
        job = session.get_one(Job, filled.jobs["failed"])
        assert (job.state, job.error) == ("queued", None)
        assert session.scalar(select(Run.unsettled).where(Run.name == "run0005"))


def test_retrying_a_run_of_which_nothing_failed_opens_it_all_the_same(roque, filled):
    assert json.loads(roque("run", "retry", "run0004", "--json").stdout)["retried"] == []
    with filled.record.reading() as session:
        assert session.scalar(select(Run.unsettled).where(Run.name == "run0004"))


def test_retrying_a_file_that_could_not_be_read_has_it_looked_at_again(roque, filled):
    assert roque("run", "retry", "notes").exit_code == 0
    with filled.record.reading() as session:
        assert session.scalar(select(RawFile.sha256).where(RawFile.path.endswith("notes.fits"))) is None


def test_jobs_are_listed_newest_first_and_narrowed(roque, filled):
    assert [job["name"] for job in lines(roque("job", "list", "--json"))][:2] == [filled.jobs["waiting"], filled.jobs["failed"]]
    (failed,) = lines(roque("job", "list", "--state", "failed", "--run", "run0005", "--kind", "reduce_range", "--json"))
    assert (failed["name"], failed["state"], failed["run"]) == (filled.jobs["failed"], "failed", f"{NIGHT}/run0005")
    assert failed["error"]["message"] == "no star was found"


def test_a_list_of_jobs_that_was_cut_says_so(roque):
    result = roque("job", "list", "--limit", 2)
    assert len(result.stdout.splitlines()) == 3
    assert "only the newest 2" in result.stderr


def test_a_job_answers_to_the_beginning_of_its_id(roque, filled):
    job = filled.jobs["failed"]
    assert json.loads(roque("job", "show", job[:13], "--json").stdout)["name"] == job
    page = roque("job", "show", job[:13]).stdout
    assert "no star was found" in page
    assert f"roque run retry {NIGHT}/run0005" in page
    assert roque("job", "show", "019a").exit_code == 4
    assert roque("job", "show", "ffff").exit_code == 4
    assert roque("job", "show", "100%").exit_code == 4


def test_masters_are_listed_with_what_they_are_valid_for(roque):
    found = lines(roque("calib", "list", "--json"))
    assert [(master["name"], master["state"]) for master in found] == [
        (f"{NIGHT}/run0001 (bias)", "good"),
        (f"{NIGHT}/run0002 (flat)", "good"),
    ]
    assert "CCD 1 us, CCD 2 gs" in roque("calib", "list", "--kind", "flat").stdout


def test_the_choice_of_masters_is_explained(roque):
    found = {answer["name"]: answer for answer in lines(roque("calib", "explain", "run0003", "--json"))}
    assert set(found) == {"bias", "dark", "flat"}
    assert found["bias"]["winner"] == f"{NIGHT}/run0001 (bias)"
    assert found["bias"]["used"]["from"] == f"{NIGHT}/run0001"
    assert found["dark"]["state"] == "none"
    assert "the nearest night" in found["flat"]["rule"]


def test_a_run_that_needs_no_master_says_so(roque):
    result = roque("calib", "explain", "2026-11-01/run0001")
    assert result.exit_code == 0
    assert "needs no master" in result.stderr


def test_quiet_leaves_messages_out_but_not_errors(roque):
    assert roque("--quiet", "job", "list", "--limit", 2).stderr == ""
    assert roque("--quiet", "run", "show", "run9999").stderr != ""


def test_where_nothing_was_ever_reduced_the_exit_status_is_3_and_nothing_is_made(roque, tmp_path):
    result = roque("--home", tmp_path / "empty", "run", "list")
    assert result.exit_code == 3
    assert "roque night reduce" in result.stderr
    assert not (tmp_path / "empty").exists()


def test_a_record_without_tables_is_not_reachable(roque, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "record.sqlite").touch()
    assert roque("--home", tmp_path / "old", "run", "list").exit_code == 3


def test_a_wrong_setting_is_named(roque, monkeypatch):
    monkeypatch.setenv("ROQUE_WORKERS", "many")
    result = roque("run", "list")
    assert result.exit_code == 1
    assert "ROQUE_WORKERS" in result.stderr


def test_cameras_are_listed(roque):
    (camera,) = [camera for camera in lines(roque("camera", "list", "--json")) if camera["name"] == "hipercam"]
    assert {"state": "known", "telescope": "GTC"}.items() <= camera.items()
    assert "microobservatory" in roque("camera", "list").stdout
