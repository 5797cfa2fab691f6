"""The judge of mutants is judged: what is wrong is found, and a process that is lost or hangs is replaced."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager

import numpy as np
import pytest

from roque.errors import BadInput
from tests.mutants import judging, pool
from tests.mutants.judging import Wrong, judge, mutant
from tests.mutants.originals import FORMATS
from tests.mutants.pool import Opener


def sound(name, folder, number=0):
    """An original, written, with its files."""
    original = FORMATS[name].originals()[number]
    for file, data in original.files.items():
        (folder / file).write_bytes(data)
    return original


@pytest.fixture
def spoilt(monkeypatch):
    """Let sources of frames be changed before they are judged."""

    def spoil(change):
        opened = judging.data_source

        @contextmanager
        def source(*args, **kwargs):
            with opened(*args, **kwargs) as frames:
                yield change(frames)

        monkeypatch.setattr(judging, "data_source", source)

    return spoil


class Changed:
    """A source whose answers are others."""

    def __init__(self, source, **others):
        self._source, self._others = source, others

    def __getattr__(self, name):
        return self._others.get(name, getattr(self._source, name))


def other_counts(source):
    def frame(number):
        made = source.load(number)
        window = next(iter(next(iter(made.ccds.values())).windows.values()))
        window.data[0, 0] += 1
        return made

    return Changed(source, frame=frame, load=frame)


def no_remedy(source):
    def frame(number):
        raise BadInput("it is bad", file=source.info.name)

    return Changed(source, frame=frame)


@pytest.mark.parametrize("name", ["hipercam", "ultra", "hcm", "fits", "gz", "fz", "lis"])
def test_an_original_is_read_and_one_count_that_is_another_is_found(tmp_path, spoilt, name):
    original = sound(name, tmp_path)
    assert judge(name, original, original.files, tmp_path).startswith("read")
    spoilt(other_counts)
    with pytest.raises(Wrong, match="other counts"):
        judge(name, original, original.files, tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (no_remedy, "no place and no remedy in"),
        (lambda source: Changed(source, available=source.available - 1), "times of"),
        (lambda source: Changed(source, load=lambda n: source.frame(source.available + 1 - n)), "other counts"),
    ],
)
def test_answers_that_are_none_are_found(tmp_path, spoilt, change, said):
    original = sound("hipercam", tmp_path)
    spoilt(change)
    with pytest.raises(Wrong, match=said):
        judge("hipercam", original, original.files, tmp_path)


def test_problems_that_are_not_told_are_found(tmp_path, spoilt):
    original = sound("hipercam", tmp_path)
    (name,) = original.files
    cut = {name: original.files[name][:-4000]}
    (tmp_path / name).write_bytes(cut[name])
    assert judge("hipercam", original, cut, tmp_path) == "read, with problems"
    spoilt(lambda source: Changed(source, problems=[]))
    with pytest.raises(Wrong, match="its size is not that of its frames"):
        judge("hipercam", original, cut, tmp_path)


def test_the_same_seed_makes_the_same_mutant_and_another_another():
    for name in FORMATS:
        made = [
            mutant(name, seed, number)[1] for seed, number in ((1, 5), (1, 5), (2, 5), (1, 5 + len(FORMATS[name].originals())))
        ]
        assert made[0] == made[1]
        assert made[2] != made[0] or made[3] != made[0]


def test_every_format_is_damaged_in_all_its_files():
    for name, kind in FORMATS.items():
        originals = kind.originals()
        seen = set()
        for number in range(20 * len(originals)):
            original, files = mutant(name, 3, number)
            seen |= {(number % len(originals), file) for file, data in files.items() if data != original.files[file]}
        assert seen == {(n, file) for n, original in enumerate(originals) for file in original.damages}


def test_a_process_that_is_killed_or_stands_still_is_told_of_and_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "HANGS", 3.0)
    (tmp_path / "a.ape").write_text("[]")
    with Opener() as opener:
        assert opener.ask(format="file", file=str(tmp_path / "a.ape"))["outcome"] == "bad_input"
        for number, said in ((signal.SIGKILL, "the process ended with -9"), (signal.SIGSTOP, "no answer for 3 s")):
            os.kill(opener._process.pid, number)
            assert opener.ask(format="file", file=str(tmp_path / "a.ape"))["outcome"] == f"fault: {said}"
            assert opener.ask(format="file", file=str(tmp_path / "a.ape"))["outcome"] == "bad_input"


def test_memory_beyond_the_bound_is_an_error_of_the_process(tmp_path):
    with Opener() as opener:
        told = opener.ask(format="memory", number=400 << 20)
        assert told["outcome"].startswith("fault: MemoryError")
        assert opener.ask(format="memory", number=100 << 20)["outcome"] == "read"
        assert 90 << 20 < opener.ask(format="memory", number=100 << 20)["memory"] < 200 << 20


def test_counts_are_compared_bit_by_bit_and_not_a_number_equals_itself():
    one = {("1", "1"): (1, 1, 1, 1, np.array([[1.0, np.nan]], np.float32))}
    judging.compare([one], [one])
    with pytest.raises(Wrong, match="lies at"):
        judging.compare([one], [{("1", "1"): (2, *one["1", "1"][1:])}])
    with pytest.raises(Wrong, match="2 frames, not 1"):
        judging.compare([one, one], [one])
