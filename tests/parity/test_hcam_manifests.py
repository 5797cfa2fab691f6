"""Command lines of the golden manifests, typed again with `roque hcam`: what they make is what the HiPERCAM pipeline made."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from services.cli.main import cli

AGREEING = {
    "hipercam": {
        "grab": 9,
        "ltimes": 14,
        "mstats": 7,
        "stats": 2,
        "makebias,makedark,makeflat,makefringe": 5,
        "averun": 3,
        "combine": 7,
        "add,sub,mul,div,cadd,csub,cmul,cdiv,splice,hfilter": 12,
        "genred": 3,
        "redanal,hlog2fits,hlog2col": 6,
    },
    "ultracam": {"grab": 8, "ltimes": 28, "makebias": 2, "genred": 3, "reduce": 7, "hlog2fits,hlog2col": 14},
    "foreign": {"fits2hcm": 9, "genred": 9, "reduce": 8},
}
"""Lines on which the pipeline ended well, by folder and command."""

REDUCTIONS = "A_moffat|A_optgauss|A_ncpu2|A_first11|A_toffset|B_optimal|C_defringe|reduce_hf"
"""Of all kinds; what every reduction of the manifest gives is tested beside the library."""


def load_tool(golden: Path):
    path = golden.parent / "tools" / "replay_manifest.py"
    spec = importlib.util.spec_from_file_location("replay_manifest", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_here(_base, words, work, _timeout):
    """Run a command in this process: a process for each of a hundred lines would take a minute to start."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(work), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main(["hcam", *words], prog_name="roque")
        except SystemExit as end:
            status = end.code
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


@pytest.fixture
def replay(golden, monkeypatch, tmp_path):
    """Type the lines of a command of a folder again; gives what the tool says of each."""
    tool = load_tool(golden)
    monkeypatch.setattr(tool, "execute", run_here)

    def play(folder: str, command: str, match: str = "."):
        words = ["replay_manifest", str(golden / folder), "--only", command, "--match", match, "--json"]
        words += ["--work", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", words)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            tool.main()
        return json.loads(said.getvalue())["steps"]

    return play


@pytest.mark.parametrize(
    ("folder", "command", "lines"), [(f, command, n) for f, commands in AGREEING.items() for command, n in commands.items()]
)
def test_every_line_of_a_command_makes_what_the_pipeline_made(replay, folder, command, lines):
    steps = replay(folder, command)
    assert {step["step"]: step["problems"] for step in steps if step["status"] == "differs"} == {}
    assert sum(step["status"] == "agrees" for step in steps) == lines


def test_reductions_give_the_pipelines_logs(replay):
    steps = replay("hipercam", "reduce", REDUCTIONS)
    assert {step["step"]: step["problems"] for step in steps if step["status"] != "agrees"} == {}
    assert len(steps) == 8


def test_lines_work_as_processes_of_their_own(golden, tmp_path):
    launcher = tmp_path / "roque"
    launcher.write_text(f"#!{sys.executable}\nfrom services.cli.main import main\nmain()\n")
    launcher.chmod(0o755)
    tool = golden.parent / "tools" / "replay_manifest.py"
    done = subprocess.run(
        [
            sys.executable,
            tool,
            golden / "hipercam",
            "--run",
            f"{launcher} hcam",
            "--match",
            "A_ltimes_dig|stats_form",
            "--json",
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert json.loads(done.stdout)["count"] == {"agrees": 2, "differs": 0, "beyond": 0, "also fails": 0}, done.stdout


def test_grab_writes_unsigned_words_where_the_pipeline_failed(replay):
    (step,) = [step for step in replay("hipercam", "grab") if step["status"] in ("beyond", "also fails")]
    assert (step["step"], step["status"]) == ("small_grab_u16", "beyond")


def test_targets_that_the_pipeline_failed_to_find_lie_on_the_stars_that_were_put_in(golden, golden_runs, tmp_path):
    for name in ("run0005.fits", "bias.hcm", "flat.hcm"):
        (tmp_path / name).symlink_to(golden_runs / name)
    line = "ftargets nodefs run=run0005 first=1 trim=no thresh=4 fwhm=3 minpix=4 rmin=10 emax=2 gain=1.1 bias=bias flat=flat"
    done = run_here(None, [*line.split(), "output=targets"], tmp_path, None)
    assert done.returncode == 0, done.stderr
    truth = json.loads((golden / "hipercam" / "truth" / "run0005.truth.json").read_text())
    put_in = {(values[0], str(values[1])): (values, stars) for values, stars in truth["frames"] if stars}
    offsets, widths = [], []
    with fits.open(tmp_path / "targets.sep") as tables:
        assert [hdu.header["CCDNAME"] for hdu in tables[1:]] == ["1", "2", "3", "4", "5"]
        for hdu in tables[1:]:
            for target in hdu.data[hdu.data["nfev"] == 1]:
                values, stars = put_in[int(target["nframe"]), hdu.header["CCDNAME"]]
                offsets.append(min(np.hypot(target["x"] - star[0], target["y"] - star[1]) for star in stars))
                widths.append(target["ffwhm"] / dict(zip(truth["columns"], values, strict=True))["fwhm_pix"])
    assert len(offsets) > 100
    assert np.median(offsets) < 0.1
    assert np.median(widths) == pytest.approx(1.0, abs=0.05)
