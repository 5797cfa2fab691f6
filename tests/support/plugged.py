"""A package with plug-ins, installed into a folder as an installer would."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

TOY = Path(__file__).resolve().with_name("toycam.py")
RUN = "TOY toy-b 40 30 A star\n61113.9000 2.0 100\n61113.9001 2.0 101\n61113.9002 2.0 1"
"""Three frames, the last of which is not written to its end."""


def install(site: Path, entries: Mapping[str, str]) -> Path:
    """Install the toy camera under `site`, with entry points of the group `roque.instruments`."""
    site.mkdir()
    shutil.copy(TOY, site)
    (site / "broken_toy.py").write_text("raise RuntimeError('made for another roque')\n")
    info = site / "toycam-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toycam\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[roque.instruments]", *lines, ""]))
    return site
