"""Thousands of mutants of every format: `make fuzz`."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.mutants.judging import mutant
from tests.mutants.originals import FORMATS
from tests.mutants.pool import Opener, Result, run_format

FIRST = 20
"""Faults of a format that are printed; all are kept."""


def keep(folder: Path, name: str, seed: int, number: int, fault: str) -> None:
    """Keep the files of a mutant that was not answered as it should be."""
    own = folder / f"{name}-{seed}-{number}"
    own.mkdir(parents=True, exist_ok=True)
    for file, data in mutant(name, seed, number)[1].items():
        (own / file).write_bytes(data)
    (own / "fault.txt").write_text(f"{fault}\n\nagain: {again(name, seed, number)}\n")


def again(name: str, seed: int, number: int) -> str:
    return f"python -m tests.mutants --seed {seed} --format {name} --only {number}"


def run(folder: Path, seed: int, numbers: range, name: str) -> tuple[str, Result, float]:
    start = time.perf_counter()
    with Opener() as opener:
        result = run_format(opener, name, seed, numbers)
    for number, fault in result.faults.items():
        keep(folder, name, seed, number, fault)
    print(f"{name}: done", file=sys.stderr, flush=True)
    return name, result, time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**8), help="of all mutants; made up if it is not given")
    parser.add_argument("--mutants", type=int, default=5000, help="of each format")
    parser.add_argument("--format", choices=FORMATS, action="append", help="one or more; all if none is given")
    parser.add_argument("--only", type=int, help="the number of one mutant")
    parser.add_argument("--keep", type=Path, default=Path(".fuzz"), help="folder for mutants that show a fault")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    numbers = range(given.mutants) if given.only is None else range(given.only, given.only + 1)
    print(f"seed {given.seed}: {len(numbers)} mutants of each format", flush=True)
    with ThreadPoolExecutor(given.processes) as pool:
        done = list(pool.map(partial(run, given.keep, given.seed, numbers), given.format or FORMATS))
    faults = 0
    for name, result, seconds in done:
        answers = ", ".join(f"{number} {answer}" for answer, number in result.answers.most_common())
        most = f"at most {result.seconds:.2f} s and {result.memory / 2**20:.0f} MiB each"
        print(f"{name:<10}{answers}; {most}; {seconds:.0f} s in all")
        for number, fault in list(result.faults.items())[:FIRST]:
            print(f"    {number}: {fault}\n        {again(name, given.seed, number)}")
        faults += len(result.faults)
    print(f"seed {given.seed}: {faults} faults" + (f", kept in {given.keep}" if faults else ""))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
