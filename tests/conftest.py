"""What every test may ask for."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import pytest

pytest_plugins = ["tests.support.file_servers", "tests.support.servers", "tests.support.sizes"]


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of raw data and the real pipelines' outputs on them."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "golden"
    folder = Path(os.environ.get("ROQUE_GOLDEN", beside))
    if not folder.is_dir():
        pytest.fail(f"no golden data at {folder}: put shared/ beside the checkout, or set ROQUE_GOLDEN to its folder golden")
    return folder


@pytest.fixture(scope="session")
def golden_runs(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the raw runs of golden/hipercam and the peer's inputs and products, unpacked, in plain names."""
    target = tmp_path_factory.mktemp("hipercam")
    for path in sorted([*(golden / "hipercam" / "raw").iterdir(), *(golden / "hipercam" / "peer").iterdir()]):
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as packed, (target / path.name.removesuffix(".gz")).open("wb") as plain:
                shutil.copyfileobj(packed, plain)
        else:
            (target / path.name).symlink_to(path)
    return target
