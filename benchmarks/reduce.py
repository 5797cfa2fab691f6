"""How fast runs are reduced and logs read, beside the HiPERCAM pipeline on the same files where it is installed.

    ROQUE_PEER=/path/to/its/bin python benchmarks/reduce.py [--only windowed,full,logs,long] [--frames 2000] [--json]

Runs of 5 CCDs with 3 apertures are simulated: two windows of 50 x 46 pixels per quadrant, and full frames of 2048 x 1024; bias
and flat are applied. `roque hcam reduce` and the pipeline's `reduce` are called in turn as commands, with the same reduce
files, which means parity, on one core, from raw file to log. Frames per second leave out the start, which is the time of a call
for one frame; they are told by the wall clock and by processor time, the best of several calls. Both programs' logs are
compared by the tolerances of the specification. Then the first of these calls on all cores; a log of 78 000 frames made
into FITS, and read; and the memory of a reduction of 100 000 frames (18 GB).

Without the pipeline its figures are those that were measured elsewhere, on a quiet machine of the same kind.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from figures import Figure, Load, note, options, show
from programs import ROQUE, Program, Spent, cores, peer
from reductions import disagreements, make_full_frames, make_log, make_windowed

from roque.lightcurves import Hlog

ELSEWHERE = {"moffat": 20.6, "optimal": 19.9, "gaussian": 24.4, "fixed": 243.0, "full": 13.2}  # frames/s
ELSEWHERE_SECONDS = {"hlog2fits": 10.7, "read": 7.4}
TIMES = {"moffat": 25.0, "optimal": 25.0, "gaussian": 20.0, "fixed": 10.0, "full": 30.0}
TIMES_LOGS = 10.0
TIMES_CORES = 1.8
START_SECONDS = 1.5
MOST_MEMORY, MOST_GROWTH = 400.0, 5.0  # MB, per cent
REPEATS = 3
NAMES = {
    "moffat": "windowed, Moffat",
    "optimal": "windowed, optimal extraction",
    "gaussian": "windowed, Gaussian",
    "fixed": "windowed, fixed apertures",
    "full": "full frames, Moffat",
}
READ = """
import sys, time
from {module} import Hlog
began, used = time.perf_counter(), time.process_time()
Hlog.rascii(sys.argv[1])
print("took", time.perf_counter() - began, time.process_time() - used)
"""


@dataclass(frozen=True)
class Rate:
    """Frames per second, of wall clock and of processor, without the start, which took so many seconds."""

    wall: float
    processor: float
    start: float


def reduce_call(program: Program, folder: Path, kind: str, last: int) -> Spent:
    """Call for the reduction of the first frames of a run."""
    run, log = "full" if kind == "full" else "windowed", folder / _log(program, kind)
    log.unlink(missing_ok=True)
    words = [f"run={run}", "first=1", f"last={last}", "trim=no", f"rfile={kind}", f"log={log.stem}", "tkeep=0"]
    return program.call(folder, "reduce", "nodefs", *words, "lplot=no", "implot=no")


def rate(program: Program, folder: Path, kind: str, frames: int, repeats: int = REPEATS) -> Rate:
    """Measure frames per second of reductions of so many frames."""
    starts, calls = [], []
    for _ in range(repeats):  # in turn: what else the machine does changes by the minute
        starts.append(reduce_call(program, folder, kind, 1))
        calls.append(reduce_call(program, folder, kind, frames))
    start, used = min(call.wall for call in starts), min(call.processor for call in starts)
    wall, processor = min(call.wall for call in calls), min(call.processor for call in calls)
    return Rate((frames - 1) / (wall - start), (frames - 1) / (processor - used), start)


def reductions(folder: Path, other: Program | None, kind: str, frames: int, peer_frames: int) -> Iterator[Figure]:
    """Reduce in one way on one core, beside the pipeline."""
    note(f"{NAMES[kind]}: roque")
    reduce_call(ROQUE, folder, kind, 2)  # compiled, and in memory
    with cores(1):
        ours = rate(ROQUE, folder, kind, frames)
        if other is not None:
            note(f"{NAMES[kind]}: the HiPERCAM pipeline")
            reduce_call(other, folder, kind, 2)
            # fixed apertures take so little that its start, of several seconds, would hide them
            peer_frames = min(frames, 5 * peer_frames) if kind == "fixed" else peer_frames
            theirs = rate(other, folder, kind, peer_frames, 2)
            again = rate(ROQUE, folder, kind, frames)
            ours = Rate(max(ours.wall, again.wall), max(ours.processor, again.processor), min(ours.start, again.start))
    yield Figure(f"{NAMES[kind]}, one core", ours.wall, "frames/s")
    yield Figure("    per second of processor time", ours.processor, "frames/s")
    if other is None:
        times = ours.processor / ELSEWHERE[kind]
        yield Figure("    HiPERCAM pipeline elsewhere", ELSEWHERE[kind], "frames/s")
    else:
        times = ours.processor / theirs.processor
        yield Figure("    HiPERCAM pipeline", theirs.wall, "frames/s")
        yield Figure("      per second of processor time", theirs.processor, "frames/s")
        yield Figure("      its start", theirs.start, "s")
    yield Figure("    times the pipeline, by processor time", times, "", f">= {TIMES[kind]:.0f}", times >= TIMES[kind])
    yield Figure("    first frame from a cold start", ours.start, "s", f"< {START_SECONDS}", ours.start < START_SECONDS)
    if other is not None:
        yield from _compared(folder, other, kind, peer_frames)


def more_cores(folder: Path, frames: int) -> Iterator[Figure]:
    """Reduce on one core and on two."""
    note(f"{NAMES['moffat']}: two cores")
    rates = []
    for number in (1, 2, 1, 2):
        with cores(number):
            rates.append(rate(ROQUE, folder, "moffat", frames).wall)
    one, two = max(rates[::2]), max(rates[1::2])
    yield Figure(f"{NAMES['moffat']}, two cores", two, "frames/s")
    yield Figure("    times one core", two / one, "", f">= {TIMES_CORES}", two >= TIMES_CORES * one)


def logs(folder: Path, other: Program | None, frames: int) -> Iterator[Figure]:
    """Make FITS of a long log, and read it."""
    make_log(folder / "long.log", frames)
    note("the log is read and made into FITS")
    ours = _log_seconds(ROQUE, folder, "roque", REPEATS)
    theirs = ELSEWHERE_SECONDS if other is None else _log_seconds(other, folder, "hipercam.hlog", 1)
    where = "HiPERCAM pipeline elsewhere" if other is None else "HiPERCAM pipeline"
    for what, name in (("hlog2fits", "hlog2fits"), ("read", "ASCII log -> Hlog")):
        times = theirs[what] / ours[what]
        yield Figure(f"{name}, {frames} frames", ours[what], "s")
        yield Figure(f"    {where}", theirs[what], "s")
        yield Figure("    times the pipeline", times, "", f">= {TIMES_LOGS:.0f}", times >= TIMES_LOGS)
    if other is not None:
        made, peers = (Hlog.from_fits(folder / name / "long.fits") for name in ("roque", "hipercam.hlog"))
        bad = sum(_different(peers[ccd], made[ccd]) for ccd in peers)
        yield Figure("    values that differ", bad, "", "= 0", bad == 0)


def long_run(folder: Path, frames: int) -> Iterator[Figure]:
    """Watch the memory of a long reduction."""
    make_windowed(folder, frames)
    few = reduce_call(ROQUE, folder, "moffat", frames // 10).memory
    note(f"{frames} frames are reduced")
    all_of_them = reduce_call(ROQUE, folder, "moffat", frames).memory
    growth = 100.0 * (all_of_them / few - 1.0)
    yield Figure(f"memory at most, {frames} frames", all_of_them, "MB", f"< {MOST_MEMORY:.0f}", all_of_them < MOST_MEMORY)
    yield Figure("    more than of a tenth of them", growth, "%", f"<= {MOST_GROWTH:.0f}", growth <= MOST_GROWTH)


def main() -> int:
    parser = options(__doc__ or "")
    parser.add_argument("--only", default="windowed,full,logs,long", help="parts, with commas: windowed, full, logs, long")
    parser.add_argument("--frames", type=int, default=2000, help="windowed frames that roque reduces (default 2000)")
    parser.add_argument("--peer-frames", type=int, default=300, help="windowed frames that the pipeline reduces (default 300)")
    parser.add_argument("--full", type=int, default=200, help="full frames, 21 MB each; the pipeline does 40 (default 200)")
    parser.add_argument("--rows", type=int, default=78_000, help="frames of the log (default 78000)")
    parser.add_argument("--long", type=int, default=100_000, help="frames of the long run, 184 kB each (default 100000)")
    given = parser.parse_args()
    parts, other, figures = given.only.split(","), peer(), []
    with tempfile.TemporaryDirectory(prefix="roque-reduce-") as name, Load() as load:
        folder = Path(name)
        if "windowed" in parts:
            make_windowed(folder, given.frames)
            for kind in ("moffat", "optimal", "gaussian", "fixed"):
                figures += reductions(folder, other, kind, given.frames, min(given.frames, given.peer_frames))
            if len(os.sched_getaffinity(0)) > 1:
                figures += more_cores(folder, given.frames)
        if "full" in parts:
            make_full_frames(folder, given.full)
            figures += reductions(folder, other, "full", given.full, min(given.full, 40))
            (folder / "full.fits").unlink()
        if "logs" in parts:
            figures += logs(folder, other, given.rows)
        if "long" in parts:
            shutil.rmtree(folder / "night", ignore_errors=True)
            figures += long_run(folder, given.long)
    title = "reductions, raw file to log, 5 CCDs x 3 apertures, bias and flat"
    return show(title, figures, load, as_json=given.json)


def _log(program: Program, kind: str) -> str:
    return f"{'roque' if program is ROQUE else 'peer'}_{kind}.log"


def _compared(folder: Path, other: Program, kind: str, frames: int) -> Iterator[Figure]:
    reduce_call(ROQUE, folder, kind, frames)
    theirs, ours = (Hlog.from_ascii(folder / _log(program, kind)) for program in (other, ROQUE))
    values = sum(table.size * len(table.dtype.names or ()) for table in theirs.values())
    bad = disagreements(theirs, ours)
    yield Figure(f"    values of both logs that disagree, of {values}", bad, "", "= 0", bad == 0)


def _log_seconds(program: Program, folder: Path, module: str, repeats: int) -> dict[str, float]:
    (folder / module).mkdir(exist_ok=True)
    made = folder / module / "long.fits"
    calls = []
    for _ in range(repeats):
        made.unlink(missing_ok=True)
        calls.append(program.call(folder, "hlog2fits", "nodefs", "log=long", "origin=h", f"dir={module}").wall)
    script = READ.format(module=module)
    reads = [program.ask(folder, script, "long.log").printed for _ in range(repeats)]
    took = [float(text.split("took ")[1].split()[0]) for text in reads]
    return {"hlog2fits": min(calls), "read": min(took)}


def _different(peer, ours) -> int:
    return sum(int((~((peer[name] == ours[name]) | ((peer[name] != peer[name]) & (ours[name] != ours[name])))).sum())
               for name in peer.dtype.names or ())  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
