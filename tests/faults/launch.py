"""Start a process of the system as ``python -m MODULE ARGUMENTS`` does, changed as the variable ROQUE_TEST_PLANTS says.

Usage: python launch.py MODULE ARGUMENTS, with ROQUE_TEST_PLANTS a list of functions of `tests.faults.plants`, with commas.
"""

from __future__ import annotations

import os
import runpy
import sys
from importlib import import_module
from pathlib import Path

# what `python -m` would have there, and the tests
sys.path[0] = str(Path(__file__).resolve().parents[2])

plants = import_module("tests.faults.plants")
for name in filter(None, os.environ.get("ROQUE_TEST_PLANTS", "").split(",")):
    getattr(plants, name)()
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
