"""Resident memory of the pool process from frame 2 000 to frame 20 000 of one run: is it flat within 5 %?

    python benchmarks/memory.py [--frames 20000] [--json]

The run of benchmarks/throughput.py (3.7 GB), reduced by the real system with one pool process. Its memory is read from /proc
a few times a second. Resident memory counts the pages of the raw file that are mapped at the moment; the part that is the
process's own, which no other process could use, is given beside it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from figures import Figure, memory, options, show
from one_run import reduce_one_run

FIRST = 2_000
FLAT = 5.0  # per cent
KINDS = ("resident memory", "  of it its own")


def table(samples: list[tuple[int, int, float, float]]) -> list[Figure]:
    """Make the table of samples (process, frame, MB, MB of its own)."""
    kept = np.array([sample for sample in samples if sample[1] >= FIRST])
    if len(np.unique(kept[:, 0])) != 1:
        raise SystemExit("the pool process was replaced while it was watched")
    frames = kept[:, 1]
    figures = [Figure(f"samples from frame {FIRST} to the end", len(kept))]
    for name, column in zip(KINDS, kept[:, 2:].T, strict=True):
        # a range takes memory and gives it back: the largest values of the ranges are compared
        most = np.array([column[frames == frame].max() for frame in np.unique(frames)])
        spread = 100.0 * (most.max() - most.min()) / most[0]
        trend = 100.0 * np.polyfit(np.linspace(-0.5, 0.5, len(most)), most, 1)[0] / most[0]
        figures += [
            Figure(f"{name}, from frame {FIRST} on", most[0], "MB"),
            Figure("    greatest of a range, least", most.min(), "MB"),
            Figure("    greatest of a range, most", most.max(), "MB"),
            Figure("    growth from first to last", trend, "%", f"<= {FLAT:.0f}", trend <= FLAT),
            Figure("    spread", spread, "%", f"<= {FLAT:.0f}", spread <= FLAT),
        ]
    return figures


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--frames", type=int, default=20_000, help="frames of the run, 184 kB each (default 20000)")
    given = parser.parse_args()
    samples: list[tuple[int, int, float, float]] = []
    with tempfile.TemporaryDirectory(prefix="roque-memory-") as folder:
        run, load = reduce_one_run(Path(folder), given.frames, lambda pid, frame: samples.append((pid, frame, *memory(pid))))
    figures = table(samples)
    figures.append(Figure("frames per second", run.frames / run.seconds, "frames/s"))
    return show(f"memory of the pool process, {run.frames} frames", figures, load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
