"""Runs of the camera file servers are copied as they grow, bit for bit, and taken up like any other."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from roque.archive import Record
from roque.archive.models import Run
from roque.archive.schema import upgrade
from roque.errors import BadInput
from roque.instruments import cameras
from roque.settings import load_settings
from roque.spool import data_source
from services.ingest import copies, servers
from services.ingest.copies import HipercamCopy
from services.ingest.servers import FileServer
from services.ingest.watch import Watch
from tests.support.file_servers import served_folder, stand_in

GO = threading.Event()


@pytest.fixture
def served(golden, tmp_path) -> Path:
    (tmp_path / "links").mkdir()
    shutil.copytree(served_folder(golden, tmp_path / "links"), tmp_path / "served")
    for path in (tmp_path / "served").iterdir():
        path.chmod(0o644)
    return tmp_path / "served"


@pytest.fixture
def spool(tmp_path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def record_of(tmp_path):
    """A record, and a watch of a folder that registers in it, in this process."""
    opened = []

    def make(folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        settings = load_settings(home=tmp_path / "home", incoming=[folder])
        record = Record(settings.database)
        opened.append(record)
        upgrade(record)

        def runs():
            with record.reading() as session:
                return list(session.scalars(select(Run)).unique())

        return Watch(record, settings, cameras(None)), runs

    yield make
    for record in opened:
        record.close()


@pytest.fixture
def server_of(spool):
    """Make one that follows a server; closed at the end."""
    made = []

    def make(url: str) -> FileServer:
        made.append(FileServer(url, spool, 0.05))
        return made[-1]

    yield make
    for server in made:
        server.close()


def follow(server: FileServer, done, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        time.sleep(min(0.05, server.look(GO)))
        assert time.monotonic() < end, "waited in vain"


def copied(spool: Path, name: str) -> list[Path]:
    return sorted(spool.rglob(name))


def same_bytes(spool: Path, served: Path, *names: str) -> bool:
    """Whether each file has one copy, with the bytes of the original; the padding of a HiPERCAM file is not served."""
    for name in names:
        found, whole = copied(spool, name), (served / name).read_bytes()
        if len(found) != 1:
            return False
        data = found[0].read_bytes()
        rest = whole[len(data) :]
        if not data or not whole.startswith(data) or len(rest) >= 2880 or rest.strip(b"\0") or (rest and name.endswith(".dat")):
            return False
    return True


HIPERCAM = ("run0001.fits", "run0002.fits")
ULTRA = ("run002.xml", "run002.dat", "run005.xml", "run005.dat")


def test_every_run_of_both_servers_is_copied_bit_for_bit(golden, served, spool, server_of, tmp_path):
    with stand_in(golden, served, tmp_path / "log") as one:
        for url, names in ((f"hipercam://{one.hipercam}", HIPERCAM), (f"ultracam://{one.hipercam}", ULTRA)):
            server = server_of(url)
            follow(server, lambda names=names: same_bytes(spool, served, *names))
    with data_source("hl", copied(spool, "run0001.fits")[0]) as source:
        assert (source.available, source.problems) == (8, [])


def test_a_run_that_grows_is_registered_as_it_grows(golden, served, spool, server_of, tmp_path, record_of):
    watch, runs = record_of(spool)
    seen = set()
    with stand_in(golden, served, tmp_path / "log", grow=0.2) as one:
        server = server_of(f"hipercam://{one.hipercam}")

        def whole() -> bool:
            watch.look()
            seen.update((run.state, run.frames) for run in runs() if run.name == "run0001")
            return same_bytes(spool, served, *HIPERCAM) and ("complete", 8) in seen

        follow(server, whole)
    assert len({frames for state, frames in seen if state == "growing"}) >= 2
    assert {run.version for run in runs()} == {1}


@pytest.mark.parametrize("scheme", ["hipercam", "ultracam"])
def test_a_server_that_comes_back_and_a_new_process_go_on_where_it_stopped(golden, served, spool, server_of, tmp_path, scheme):
    names = HIPERCAM if scheme == "hipercam" else ULTRA
    with stand_in(golden, served, tmp_path / "log", grow=0.1) as one:
        url, port = f"{scheme}://{one.hipercam}", one.port
        server = server_of(url)
        follow(server, lambda: sum(path.stat().st_size for path in spool.rglob("run*[st]")) > 100_000)
    server.look(GO)  # nobody answers
    with stand_in(golden, served, tmp_path / "log2", port=port) as one:
        follow(server if scheme == "hipercam" else server_of(url), lambda: same_bytes(spool, served, *names))
        firsts = [asked for asked in one.asked() if "get_frame" in str(asked)]
        assert firsts  # it did ask for frames, and left those that it had alone:
        assert len(copied(spool, names[0])) == 1


def test_what_a_crash_left_at_the_end_of_a_copy_is_mended(golden, served, spool, server_of, tmp_path):
    with stand_in(golden, served, tmp_path / "log") as one:
        url = f"hipercam://{one.hipercam}"
        follow(server_of(url), lambda: same_bytes(spool, served, *HIPERCAM))
        (copy,) = copied(spool, "run0001.fits")
        whole = copy.read_bytes()
        # two frames whose blocks the disk has lost, and a part of the third
        copy.write_bytes(whole[: -3 * 19236] + bytes(2 * 19236) + whole[-19236:-100])
        follow(server_of(url), lambda: copy.read_bytes() == whole)


def test_another_run_of_the_same_name_is_another_run(golden, served, spool, server_of, tmp_path):
    with stand_in(golden, served, tmp_path / "log") as one:
        server = server_of(f"hipercam://{one.hipercam}")
        follow(server, lambda: same_bytes(spool, served, *HIPERCAM))
        first = copied(spool, "run0001.fits")[0].read_bytes()
        shutil.copy(served / "run0002.fits", served / "run0001.fits")
        server = server_of(f"hipercam://{one.hipercam}")
        follow(server, lambda: len(copied(spool, "run0001.fits")) == 2)
    sizes = {path.read_bytes() == first for path in copied(spool, "run0001.fits")}
    assert sizes == {True, False}


def test_a_full_disk_is_waited_for_and_other_runs_go_on(golden, served, spool, server_of, tmp_path, monkeypatch):
    full, write = [True], os.pwrite

    def refusing(file, data, place):
        if full[0] and "run0002" in str(Path(f"/proc/self/fd/{file}").readlink()):
            write(file, data[:1000], place)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data, place)

    said = []
    monkeypatch.setattr(copies.os, "pwrite", refusing)
    monkeypatch.setattr(servers.logger, "warning", lambda event, **keys: said.append((event, keys["run"], keys["error"])))
    with stand_in(golden, served, tmp_path / "log") as one:
        server = server_of(f"hipercam://{one.hipercam}")
        follow(server, lambda: same_bytes(spool, served, "run0001.fits") and said)
        assert not same_bytes(spool, served, "run0002.fits")
        full[0] = False
        follow(server, lambda: same_bytes(spool, served, *HIPERCAM))
    ((event, run, error),) = said
    assert (event, run) == ("server_waits", "run0002")
    assert "disk is full" in error


def test_names_that_no_run_has_are_left_alone(golden, served, spool, server_of, tmp_path, monkeypatch):
    listed = ["../run0001", "run0001/../../x", "run00012", "run001", "run0001"]
    monkeypatch.setattr(servers, "served_runs", lambda _: listed)
    with stand_in(golden, served, tmp_path / "log") as one:
        server = server_of(f"hipercam://{one.hipercam}")
        follow(server, lambda: same_bytes(spool, served, "run0001.fits"))
        assert {path.name for path in spool.rglob("*") if path.is_file()} == {"run0001.fits"}
    ours = {served, tmp_path / "links", spool / f"hipercam_localhost-{one.port}"}
    assert all(ours & set(path.parents) for path in tmp_path.rglob("run*.fits"))


def test_the_number_of_frames_is_kept_up_to_date_where_the_camera_does_not(golden, served, tmp_path):
    whole = (served / "run0001.fits").read_bytes()
    header, frames = whole[:5760], whole[5760:]
    empty = header.replace(b"NAXIS3  =                    8", b"NAXIS3  =                    0")
    assert empty != header
    copy = HipercamCopy(tmp_path / "run0001", empty, 19236)
    for n in range(2):
        copy.append(frames[n * 19236 : (n + 1) * 19236])
        copy.write_header(empty)
        with data_source("hl", tmp_path / "run0001.fits") as source:
            assert source.available == n + 1
    copy.write_header(header)
    copy.close()
    assert (tmp_path / "run0001.fits").read_bytes() == whole[: 5760 + 2 * 19236]


@pytest.mark.parametrize("header", [b"", b"no FITS", b"SIMPLE  =                    T"])
def test_a_header_that_cannot_be_used_is_refused(tmp_path, header):
    def copied() -> None:
        copy = HipercamCopy(tmp_path / "run0001", header, 100)
        copy.append(bytes(100))
        copy.write_header(header)

    with pytest.raises(BadInput, match="header"):
        copied()


@pytest.mark.parametrize(
    "url", ["localhost:8007", "http://host/", "hipercam://", "hipercam://me:secret@host/", "ultracam://h:x/"]
)
def test_an_address_that_is_none_is_refused_at_the_start(tmp_path, url):
    with pytest.raises(BadInput, match="hipercam://HOST:PORT/") as refused:
        load_settings(home=tmp_path, servers=[url])
    assert "secret" not in str(refused.value)


def test_roque_up_takes_up_a_run_that_grows_on_a_server(golden, served, tmp_path, home, until):
    (served / "run0002.fits").unlink()
    with stand_in(golden, served, tmp_path / "log", grow=0.3) as one:
        up = home.up(servers=f'["hipercam://{one.hipercam}"]', silent_seconds=2, urgent="true")
        try:
            until((home.folder / "spool").is_dir)

            def done() -> bool:
                listed = home.roque("run", "list", "--json")
                return '"frames": 8' in listed.stdout and '"files": "complete"' in listed.stdout

            until(done)
        finally:
            up.terminate()
            up.wait(60)
    shown = home.show("run0001")
    assert (shown["frames"], shown["frames_missing"], shown["version"]) == (8, 0, 1)
    assert shown["files"][0]["path"].startswith(str(home.folder / "spool"))


def test_doctor_says_whether_the_servers_answer(golden, served, tmp_path, home):
    with stand_in(golden, served, tmp_path / "log") as one:
        urls = [f"hipercam://{one.hipercam}", f"ultracam://{one.hipercam}", "hipercam://localhost:9/"]
        told = home.roque("doctor", "--json", servers=json.dumps(urls)).stdout
    found = [json.loads(line) for line in told.splitlines()]
    servers = [(one["state"], one["detail"]) for one in found if one["name"] == "file server"]
    assert [state for state, _ in servers] == ["ok", "ok", "warn"]
    assert servers[0][1].endswith("has 2 runs")
