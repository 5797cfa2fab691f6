"""A process that writes a file in odd pieces, as a camera or a copy over the network does.

Usage: python writer.py PLAN, a JSON file of steps: ["append", path, source, first byte, last byte], ["into", the same],
["patch", path, offset, text], ["rename", path, new path], ["truncate", path],
["sleep", seconds].
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

Step = list[Any]


def start(plan: Path, steps: Iterable[Step]) -> subprocess.Popen[bytes]:
    """Begin to write."""
    plan.write_text(json.dumps(list(steps)))
    return subprocess.Popen([sys.executable, __file__, str(plan)])


def pieces(path: Path, source: Path, first: int = 0, last: int | None = None, *, seed: int, n: int = 12, pause: float = 0.02):
    """Steps that append the bytes of a file in so many pieces of any size, with pauses of any length."""
    chance = random.Random(seed)
    last = source.stat().st_size if last is None else last
    cuts = [first, *sorted(chance.sample(range(first + 1, last), min(n - 1, last - first - 1))), last]
    for begin, end in pairwise(cuts):
        yield ["append", str(path), str(source), begin, end]
        yield ["sleep", chance.uniform(0.0, 2.0 * pause)]


def main(steps: list[Step]) -> None:
    for kind, *how in steps:
        if kind == "sleep":
            time.sleep(how[0])
        elif kind == "truncate":
            os.truncate(how[0], 0)
        elif kind == "rename":
            Path(how[0]).rename(how[1])
        elif kind == "patch":
            with Path(how[0]).open("r+b") as file:
                file.seek(how[1])
                file.write(how[2].encode())
        else:
            path, source, first, last = how
            with Path(source).open("rb") as whole, Path(path).open("r+b" if kind == "into" else "ab") as file:
                whole.seek(first)
                file.seek(first)  # where what is appended goes, the mode says
                file.write(whole.read(last - first))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
