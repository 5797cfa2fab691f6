"""The parity report tells what agrees and what does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "report.py"


def report(golden, folder, match):
    words = [sys.executable, str(SCRIPT), "--match", match, "--output", str(folder / "report.md")]
    environment = os.environ | {"ROQUE_GOLDEN": str(golden), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    text = (folder / "report.md").read_text() if (folder / "report.md").exists() else ""
    return done, text


def spoilt(golden, tmp_path):
    """Golden frames of other cameras, in one of whose logs a number differs, and in another a row is missing."""
    copy = tmp_path / "shared" / "golden"
    shutil.copytree(golden / "foreign", copy / "foreign", copy_function=os.symlink)
    for folder in ("hipercam", "ultracam"):
        (copy / folder).symlink_to(golden / folder)
    (copy.parent / "tools").symlink_to(golden.parent / "tools")
    for name, change in (("hicks", lambda words: [*words[:-8], "99999.0", *words[-7:]]), ("pt5m", lambda _: ["#"])):
        log = copy / "foreign" / name / f"{name}.log"
        lines = log.read_text().splitlines()
        log.unlink()
        last = max(k for k, line in enumerate(lines) if line and not line.startswith("#"))
        lines[last] = " ".join(change(lines[last].split()))
        log.write_text("\n".join(lines) + "\n")
    return copy


def test_a_log_that_agrees_is_listed_with_its_values_and_the_worst_of_them(golden, tmp_path):
    done, text = report(golden, tmp_path, "foreign/(hicks|ltrise)|run005_normal|B_hf")
    assert done.returncode == 0, done.stderr
    assert "3 of 3 logs agree; of" in done.stdout
    assert "values compared, 0 disagree" in done.stdout
    assert "| run005_normal | 740 | " in text
    assert "the pipeline failed here; roque ended well" in text


def test_what_differs_is_named(golden, tmp_path):
    done, text = report(spoilt(golden, tmp_path), tmp_path, "foreign/(hicks|pt5m|rosa)")
    assert "1 of 3 logs agree" in done.stdout
    assert "| hicks | 74 |" in text
    assert "1 values disagree" in text
    assert ": 1 of 2, first in frame 2" in text
    assert "1 frames are not in the peer's log" in text


def test_without_golden_data_nothing_is_claimed(tmp_path):
    done, text = report(tmp_path / "nowhere", tmp_path, ".")
    assert done.returncode == 2
    assert not text
