"""The process that opens mutants: one for many, with a bound on its memory. Requests and answers are lines of JSON."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import time
import traceback
from pathlib import Path

from tests.mutants.judging import Wrong, judge, judge_file, mutant
from tests.mutants.originals import FORMATS

__all__ = ["MEMORY"]

MEMORY = 300 << 20
"""Bytes above those of the idle process that opening a file may take."""


def status(name: str) -> int:
    """Bytes of memory by /proc: VmData, VmRSS, VmHWM."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise LookupError(name)


def write(files: dict[str, bytes], folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def answer(request: dict[str, object], folder: Path) -> str:
    """Open what is asked for: the kind of answer, or what is wrong with it behind 'fault: '."""
    # some folders are named after a night, which else is told by the times of the frames
    name, path = str(request["format"]), folder / ("2026-03-14" if int(str(request.get("number", 0))) % 3 else "data")
    try:
        if "file" in request:
            return judge_file(Path(str(request["file"])), folder)
        if name == "memory":  # does the bound hold?
            bytearray(int(str(request["number"])))
            return "read"
        original, files = mutant(name, int(str(request["seed"])), int(str(request["number"])))
        write(files, path)
        return judge(name, original, files, path)
    except Wrong as wrong:
        return f"fault: {wrong}"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"fault: {type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {error}"[:600]


def main() -> None:
    base = Path(sys.argv[1])
    for name, kind in FORMATS.items():  # everything is imported, compiled and cached before memory is measured
        for number, original in enumerate(kind.originals()):
            write(original.files, base / "warm" / f"{name}{number}")
            judge(name, original, original.files, base / "warm" / f"{name}{number}")
    shutil.rmtree(base / "warm")
    idle = status("VmRSS")
    resource.setrlimit(resource.RLIMIT_DATA, (status("VmData") + MEMORY, resource.RLIM_INFINITY))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        folder = base / str(request["format"])
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak
        wall, cpu = time.perf_counter(), time.process_time()
        outcome = answer(request, folder)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(json.dumps({"outcome": outcome, "wall": wall, "cpu": cpu, "memory": status("VmHWM") - idle}), flush=True)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
