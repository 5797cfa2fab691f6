"""The parity report: every golden reduction typed again with `roque hcam`, its log compared with the HiPERCAM pipeline's.

    python tests/parity/report.py [--match REGEX] [--output build/parity/report.md]

For each log: values compared, the worst difference in units of the pipeline's own error of the value, and disagreements by the
tolerances of the specification, as the tool of the golden data (`compare_hlog.py`) applies them. One log after another, in one
process. What is found is a report: the exit status is 0 unless a log could not be made or compared.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import gzip
import importlib.util
import io
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from roque import __version__
from services.cli.main import cli

HOUSE = Path(__file__).parents[2]
FOLDERS = ("hipercam", "ultracam", "foreign")
SHOWN = 12
"""Disagreeing columns of a log that are listed."""


@dataclass
class Compared:
    """A log against the pipeline's."""

    folder: str
    name: str
    command: str
    values: int = 0
    worst: float | None = None  # largest difference, in the pipeline's errors
    where: str = ""  # of the worst
    disagreements: list[str] = field(default_factory=list)
    bad: int = 0  # values that disagree
    seconds: float = 0.0
    trouble: str = ""  # why it could not be made or compared
    failed: bool = False  # the pipeline itself failed on this line

    @property
    def verdict(self) -> str:
        if self.failed:
            return f"the pipeline failed here; roque {'failed too' if self.trouble else 'ended well'}"
        if self.trouble:
            return self.trouble
        return "agrees" if not self.disagreements else f"{self.bad} values disagree"


def main() -> int:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--match", default=".", help="only logs whose folder/name matches this expression")
    parser.add_argument("--output", type=Path, default=HOUSE / "build" / "parity" / "report.md", help="Markdown file to write")
    given = parser.parse_args()
    golden = Path(os.environ.get("ROQUE_GOLDEN", HOUSE.parent / "shared" / "golden"))
    if not golden.is_dir():
        print(f"no golden data at {golden}: set ROQUE_GOLDEN to its folder", file=sys.stderr)
        return 2
    replay, hlog = (_tool(golden.parent / "tools" / f"{name}.py") for name in ("replay_manifest", "compare_hlog"))
    found: list[Compared] = []
    with tempfile.TemporaryDirectory(prefix="roque-parity-") as scratch:
        for folder in FOLDERS:
            for one in _folder(replay, hlog, golden / folder, Path(scratch), re.compile(given.match)):
                print(f"{one.folder + '/' + one.name:26s} {_line(one)}", flush=True)
                found.append(one)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(_markdown(found))
    print(f"{_summary(found)}\n{given.output}")
    return 1 if not found or any(one.trouble and not one.failed for one in found) else 0


def _folder(replay: ModuleType, hlog: ModuleType, golden: Path, scratch: Path, match: re.Pattern[str]):
    """Compare the reductions of a manifest."""
    manifest = replay.Golden(golden)
    for step in manifest.steps:
        if step["words"][0] != "reduce":
            continue
        (log,) = (word.removeprefix("log=") for word in step["words"] if word.startswith("log="))
        name = log.removesuffix(".log")
        one = Compared(golden.name, name, " ".join(step["words"]), failed=step["failed"])
        if not match.search(f"{one.folder}/{one.name}"):
            continue
        files = manifest.files(step["folder"])
        work = scratch / golden.name / name
        work.mkdir(parents=True)
        (work / "raw").symlink_to(".")  # lists name their files with or without the folder
        for plain, path in files.items():
            if plain != f"{name}.log" and not plain.endswith((".out", ".err", ".json")):
                (work / plain).symlink_to(_plain(path, scratch / golden.name / f"unpacked{step['folder']}"))
        for earlier in manifest.steps:  # lines that make what this one needs and the golden folder does not keep
            if earlier["name"] in step["after"]:
                one.trouble = one.trouble or _typed(earlier["words"], work)
        started = time.monotonic()
        one.trouble = one.trouble or _typed(step["words"], work)
        one.seconds = time.monotonic() - started
        if not one.trouble and not one.failed:
            _compare(one, hlog, files[f"{name}.log"], work / f"{name}.log")
        shutil.rmtree(work)
        yield one


def _typed(words: list[str], work: Path) -> str:
    """Run a command line in this process; what it said if it failed."""
    said = io.StringIO()
    with contextlib.chdir(work), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            cli.main(["hcam", *words], prog_name="roque")
        except SystemExit as end:
            if end.code:
                return " ".join(said.getvalue().strip().splitlines()[-1:])[:200] or f"exit {end.code}"
    return ""


def _compare(one: Compared, hlog: ModuleType, peer: Path, mine: Path) -> None:
    try:
        columns, problems = hlog.compare(hlog.read(peer), hlog.read(mine), hlog.table_options())
    except (hlog.LogError, OSError, ValueError) as error:
        one.trouble = f"cannot be compared: {error}"
        return
    one.values = sum(column["n"] for column in columns)
    judged = [column for column in columns if column["max_sigma"] is not None]
    if judged:
        worst = max(judged, key=lambda column: column["max_sigma"])
        one.worst, one.where = worst["max_sigma"], _place(worst)
    bad = [column for column in columns if column["bad"]]
    one.bad = sum(column["bad"] for column in bad)
    one.disagreements = [f"{_place(c)}: {c['bad']} of {c['n']}, first in frame {c['first_bad_frame']}" for c in bad]
    one.disagreements += problems
    if not one.values:
        one.trouble = "no line of one log has its like in the other"


def _place(column: dict[str, str]) -> str:
    name = f"{column['column']}_{column['aperture']}" if column["aperture"] else column["column"]
    return f"CCD {column['ccd']} {name}"


def _line(one: Compared) -> str:
    worst = "-" if one.worst is None else f"{one.worst:.1e}"
    return f"{one.values:7d} values  worst {worst:>8s} errors  {one.where:20s} {one.seconds:6.1f} s  {one.verdict}"


def _summary(found: list[Compared]) -> str:
    compared = [one for one in found if not one.failed and not one.trouble]
    agree = sum(not one.disagreements for one in compared)
    values, bad = sum(one.values for one in compared), sum(one.bad for one in compared)
    return f"{agree} of {len(compared)} logs agree; of {values} values compared, {bad} disagree"


def _markdown(found: list[Compared]) -> str:
    now = dt.datetime.now(dt.UTC)
    lines = [
        "# Parity with the HiPERCAM pipeline",
        "",
        f"{_summary(found)}. Made {now:%Y-%m-%d %H:%M} UTC by roque {__version__}, Python {platform.python_version()}, with",
        "`make parity`: each `reduce` line of the golden manifests is typed again with `roque hcam`.",
        "",
        "*Worst* is the largest difference of a value from the pipeline's, in units of the error that the pipeline states for",
        "it. What *disagrees* lies outside the tolerances at the end of the specification of reductions; flags, counters and",
        "patterns of NaN must be equal.",
    ]
    for folder in FOLDERS:
        mine = [one for one in found if one.folder == folder]
        if not mine:
            continue
        lines += ["", f"## {folder}", "", "| log | values | worst, errors | where | result |", "|---|---:|---:|---|---|"]
        for one in mine:
            worst = "" if one.worst is None else f"{one.worst:.1e}"
            lines.append(f"| {one.name} | {one.values} | {worst} | {one.where} | {one.verdict.replace('|', '/')} |")
        for one in mine:
            if one.disagreements:
                lines += ["", f"{one.name} (`{one.command}`):", "", *(f"- {text}" for text in one.disagreements[:SHOWN])]
                if len(one.disagreements) > SHOWN:
                    lines.append(f"- and {len(one.disagreements) - SHOWN} more")
    return "\n".join(lines) + "\n"


def _plain(path: Path, unpacked: Path) -> Path:
    """The file, unpacked once if it is packed."""
    if path.suffix != ".gz":
        return path
    target = unpacked / path.name.removesuffix(".gz")
    if not target.exists():
        unpacked.mkdir(parents=True, exist_ok=True)
        with gzip.open(path, "rb") as packed, target.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
    return target


def _tool(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main())
