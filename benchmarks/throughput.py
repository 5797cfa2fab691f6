"""Frames per second from raw file to committed rows, through the real system with one pool process.

    python benchmarks/throughput.py [--frames 3000] [--automatic] [--json]

Two windows of 50 x 46 pixels per quadrant, 5 CCDs x 3 apertures, Moffat profiles, bias and flat applied, simulated, a hundred
different frames in turn. Ingest, planner, relay and a worker with one pool process run as under `roque up`, on SQLite. Counted
is the time from the claim of the first range of frames until the last is committed; reading, calibration, fits, extraction,
commits and messages are in it. The HiPERCAM pipeline reduces a run of this shape, with the radii and boxes that are used here
too, at 20.6 frames/s on a quiet machine of this kind (version 1.6.8.dev14, no plots, 150 frames, its start left out). With
--automatic, apertures and recipe are the system's own: its boxes follow the seeing and are smaller. The library alone, without
record and processes, is benchmarks/reduce.py.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from figures import Figure, options, show
from one_run import CCDS, STARS, Reduced, reduce_one_run

PEER = 20.6  # frames/s
TIMES = 5.0


def table(run: Reduced) -> list[Figure]:
    rate = run.frames / run.seconds
    stages = [Figure(f"  {stage}", 1e3 * seconds / run.frames, "ms/frame") for stage, seconds in run.stages.items()]
    return [
        Figure("frames per second", rate, "frames/s", f">= {TIMES * PEER:.0f}", rate >= TIMES * PEER),
        Figure("times the HiPERCAM pipeline's 20.6", rate / PEER, "", f">= {TIMES:.0f}", rate >= TIMES * PEER),
        Figure("frames", run.frames),
        Figure("rows committed", run.rows, "", f"= {run.frames * CCDS * STARS}", run.rows == run.frames * CCDS * STARS),
        Figure("ranges", run.ranges),
        Figure("first claim to last commit", run.seconds, "s"),
        Figure("file appears to last commit", run.after_copy, "s"),
        *stages,
    ]


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--frames", type=int, default=3000, help="frames of the run, 184 kB each (default 3000)")
    parser.add_argument("--automatic", action="store_true", help="automatic apertures and recipe, not the pipeline's settings")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="roque-throughput-") as folder:
        run, load = reduce_one_run(Path(folder), given.frames, automatic=given.automatic)
    settings = "automatic settings" if given.automatic else "settings of the HiPERCAM pipeline's timing"
    return show(f"raw file to committed rows, one pool process, {settings}", table(run), load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
