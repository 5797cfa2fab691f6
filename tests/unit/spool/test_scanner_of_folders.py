"""Looking into incoming folders again and again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from roque.spool.folders import Scanner, Stat, scan


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    for name in ("night1/run0001.fits", "night1/deep/run0002.fits.gz", "night2/run0003.ape"):
        write(tmp_path / "incoming" / name, name)
    for name in ("night1/.hidden.fits", "night2/notes.txt", "home/products/log.fits"):
        write(tmp_path / "incoming" / name, name)
    for folder in [path for path in (tmp_path / "incoming").rglob("*") if path.is_dir()]:
        settle(folder)
    settle(tmp_path / "incoming")
    return tmp_path / "incoming"


@pytest.fixture
def scanner(incoming: Path) -> Scanner:
    scanner = Scanner([incoming], incoming / "home")
    scanner.look()
    return scanner


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def settle(folder: Path) -> None:
    """Make a folder look as if nothing had happened in it for long."""
    os.utime(folder, ns=(0, folder.stat().st_mtime_ns - 10_000_000_000))


def names(found: dict[str, Stat], incoming: Path) -> set[str]:
    return {str(Path(path).relative_to(incoming)) for path in found}


def test_files_are_found_in_nested_folders_but_not_hidden_ones_others_or_our_own(incoming):
    found = scan([incoming], incoming / "home")
    assert names(found, incoming) == {"night1/run0001.fits", "night1/deep/run0002.fits.gz", "night2/run0003.ape"}
    assert found[str(incoming / "night2/run0003.ape")].size == len("night2/run0003.ape")


def test_where_nothing_changed_no_file_is_looked_at(scanner):
    assert scanner.look_for_news([]) == {}


def test_a_new_file_is_news_with_its_folder_alone(scanner, incoming):
    write(incoming / "night1/run0004.fits", "new")
    assert names(scanner.look_for_news([]), incoming) == {"night1/run0001.fits", "night1/run0004.fits"}
    assert str(incoming / "night1/run0004.fits") in scanner.found


def test_a_folder_that_changed_just_now_is_looked_up_again_though_its_time_stands_still(scanner, incoming):
    write(incoming / "night2/run0004.fits", "one")
    scanner.look_for_news([])
    before = (incoming / "night2").stat()
    write(incoming / "night2/run0005.fits", "in the same step of the clock")
    os.utime(incoming / "night2", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "night2/run0005.fits" in names(scanner.look_for_news([]), incoming)


def test_a_new_folder_is_news_with_all_that_is_in_it(scanner, incoming):
    write(incoming / "night3/a/b/run0006.fits", "deep")
    assert names(scanner.look_for_news([]), incoming) == {"night3/a/b/run0006.fits"}


def test_a_growing_file_is_seen_if_it_is_watched(scanner, incoming):
    path = incoming / "night1/run0001.fits"
    path.write_text("much longer than it was before")
    assert scanner.look_for_news([]) == {}
    assert names(scanner.look_for_news([str(path)]), incoming) == {"night1/run0001.fits"}
    assert scanner.found[str(path)].size == 30


def test_what_is_removed_is_no_longer_found(scanner, incoming):
    (incoming / "night1/run0001.fits").unlink()
    shutil.rmtree(incoming / "night2")
    scanner.look_for_news([str(incoming / "night1/run0001.fits")])
    assert names(scanner.found, incoming) == {"night1/deep/run0002.fits.gz"}


def test_a_folder_that_is_made_later_is_found(tmp_path):
    scanner = Scanner([tmp_path / "later"], tmp_path / "home")
    assert scanner.look() == {}
    write(tmp_path / "later/run0001.fits", "first")
    assert names(scanner.look_for_news([]), tmp_path) == {"later/run0001.fits"}


def test_looking_at_everything_sees_a_file_written_anew_in_its_place(scanner, incoming):
    path = incoming / "night1/run0001.fits"
    path.write_text("other content altogether")
    assert scanner.look()[str(path)].size == 24
