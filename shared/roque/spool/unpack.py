"""Compressed files, unpacked once into a folder that does not outgrow its bound."""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from roque.errors import BadInput, Transient
from roque.frames.cards import BLOCK, format_header
from roque.frames.files import write_whole
from roque.frames.frame import Header
from roque.frames.images import FitsFile, Hdu

if TYPE_CHECKING:
    from roque.spool.tiles import TiledImage

__all__ = ["is_packed", "unpack"]

_CHUNK = 1 << 20
_CAP = 16 << 30  # bytes that one file may unpack to
_CACHE = 32 << 30  # bytes that a cache may hold
_ABANDONED = 6 * 3600  # s after which a part was left by a process that was killed
_RATIO = 100  # real frames shrink to a tenth at most; zeros, which make bombs, to a thousandth
_FREE = 64 << 20  # bytes up to which the ratio is not asked
_DAMAGED = "the file is damaged: copy it again from where it came"
_PACKING: tuple[str, ...] = (
    "ZIMAGE",
    "ZSIMPLE",
    "ZTENSION",
    "ZEXTEND",
    "ZBITPIX",
    "ZNAXIS",
    "ZTILE",
    "ZCMPTYPE",
    "ZNAME",
    "ZVAL",
    "ZMASKCMP",
)
_PACKING += (
    "ZQUANTIZ",
    "ZDITHER0",
    "ZBLANK",
    "ZHECKSUM",
    "ZDATASUM",
    "ZPCOUNT",
    "ZGCOUNT",
    "TFIELDS",
    "TTYPE",
    "TFORM",
    "THEAP",
)
_PACKING += ("SIMPLE", "XTENSION", "BITPIX", "NAXIS", "EXTEND", "PCOUNT", "GCOUNT", "CHECKSUM", "DATASUM", "END")


def is_packed(path: Path) -> bool:
    """Whether a file is compressed, by its first bytes (.gz) or its name (.fz)."""
    if path.suffix.lower() == ".fz":
        return True
    with FitsFile(path) as file:
        return file.read(0, 2) == b"\x1f\x8b"


def unpack(path: Path, cache_folder: Path, *, cap: int = _CAP, cache_size: int = _CACHE) -> Path:
    """Give the plain file of a compressed one, made once and kept in a cache that several processes may share.

    Parameters
    ----------
    path : Path
        A file; one that is not compressed is given back as it is.
    cache_folder : Path
        Made if need be. What was not used for longest is removed when it grows beyond `cache_size`.
    cap : int
        Bytes that the file may unpack to.
    cache_size : int
        Bytes that the cache may hold; the newest file is kept even if it alone is larger.

    Returns
    -------
    Path
        A plain FITS file. It stays until others push it out of the cache, so open it at once.

    Raises
    ------
    BadInput
        Damaged, or larger than `cap`, or shrunk more than any real data: nothing is left in the cache.
    NotFound
        There is no such file.
    Transient
        The cache cannot be written.
    """
    if not is_packed(path):
        return path
    with FitsFile(path) as file:
        status = file.status
    key = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    plain = cache_folder / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:40]}.fits"
    if plain.exists():
        with suppress(FileNotFoundError):
            os.utime(plain)
            return plain
    try:
        cache_folder.mkdir(parents=True, exist_ok=True)
        with write_whole(plain) as part, part.open("wb") as out:
            chunks = _restored(path, cap) if path.suffix.lower() == ".fz" else _inflated(path, status.st_size, cap)
            for chunk in chunks:
                out.write(chunk)
        _evict(cache_folder, plain, cache_size)
    except OSError as error:
        raise Transient(
            f"cannot unpack into {cache_folder}: {error}", file=str(path), remedy="make room for the cache"
        ) from error
    return plain


def _inflated(path: Path, packed: int, cap: int) -> Iterator[bytes]:
    """Bytes of a .gz file, counted."""
    total = 0
    with path.open("rb") as file:
        engine = zlib.decompressobj(wbits=31)
        ended = False
        while data := engine.unconsumed_tail or engine.unused_data or file.read(_CHUNK):
            if engine.eof:
                # another member follows, or zeros that some writers pad with
                if not data.strip(b"\0"):
                    break
                engine, ended = zlib.decompressobj(wbits=31), False
            try:
                chunk = engine.decompress(data, _CHUNK)
            except zlib.error as error:
                raise BadInput(
                    f"damaged compressed data: {error}", file=str(path), place=f"byte {file.tell()}", remedy=_DAMAGED
                ) from None
            total += len(chunk)
            ended = engine.eof
            if total > cap or (total > _FREE and total > _RATIO * packed):
                raise BadInput(
                    f"it unpacks to more than {total - 1} bytes from {packed}",
                    file=str(path),
                    place=f"byte {total - 1} of what it unpacks to",
                    remedy="unpack it by hand if it is genuine",
                )
            yield chunk
        if not ended:
            raise BadInput("the compressed data are cut short", file=str(path), place=f"byte {packed}", remedy=_DAMAGED)


def _restored(path: Path, cap: int) -> Iterator[bytes]:
    """Bytes of the FITS file that a .fz file was made of; headers are kept card by card."""
    # kernels take longer to import than most commands that open a run do to end
    from roque.spool.tiles import TiledImage  # noqa: PLC0415

    with FitsFile(path) as file:
        hdus = list(file.hdus())
        most = min(cap, max(_FREE, _RATIO * file.size))
        images = {hdu.index: TiledImage(file, hdu, most) for hdu in hdus if hdu.header.get("ZIMAGE") is True}
        if not images:
            raise BadInput(
                "no compressed image in the file",
                file=file.name,
                place="keyword ZIMAGE",
                remedy="take .fz off its name if it is not compressed; else it is damaged: copy it again from where it came",
            )
        # the packer puts an empty HDU before an image that was the first of its file
        first = 1 if 1 in images and "ZSIMPLE" in hdus[1].header and not hdus[0].nbytes else 0
        for hdu in hdus[first:]:
            if hdu.index in images:
                file.check_sum(hdu)
                yield from _image(file, hdu, images[hdu.index], primary=first == hdu.index == 1)
            else:
                start = hdu.start - hdu.block.size
                for at in range(start, hdu.end, _CHUNK):
                    yield file.read(at, min(_CHUNK, hdu.end - at))


def _image(file: FitsFile, hdu: Hdu, image: TiledImage, *, primary: bool) -> Iterator[bytes]:
    """Header and data of a compressed image."""
    start: Header = {"SIMPLE": True} if primary else {"XTENSION": "IMAGE"}
    sizes = {"NAXIS": len(image.axes)} | {f"NAXIS{i + 1}": n for i, n in enumerate(image.axes)}
    end: Header = {"EXTEND": True} if primary else {"PCOUNT": 0, "GCOUNT": 1}
    yield _header(file, hdu, start | {"BITPIX": image.bitpix} | sizes | end)
    total = 0
    for chunk in image.chunks():
        total += len(chunk)
        yield chunk
    yield b"\0" * (-total % BLOCK)


def _header(file: FitsFile, hdu: Hdu, structure: Header) -> bytes:
    """Cards of the image before it was packed: those of its structure, then all others as they stand."""
    raw = file.read(hdu.start - hdu.block.size, hdu.block.size)
    if isinstance(wanted := hdu.header.get("ZDATASUM"), str):
        structure = structure | {"DATASUM": wanted}
    cards = format_header(structure).rstrip()[:-3].rstrip()
    kept = cards.ljust(80 * len(structure))
    for at in range(0, len(raw), 80):
        card = raw[at : at + 80]
        name = card[:8].rstrip().decode("latin-1")
        if name.rstrip("0123456789") in _PACKING or (name == "EXTNAME" and b"COMPRESSED_IMAGE" in card) or not card.strip():
            continue
        kept += card
    kept += b"END".ljust(80)
    return kept.ljust(-(-len(kept) // BLOCK) * BLOCK)


def _evict(folder: Path, newest: Path, size: int) -> None:
    """Remove files until the rest fits; those used last stay longest."""
    files = []
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):
            status = entry.stat()
            if entry.name.endswith(".fits"):
                files.append((status.st_mtime_ns, status.st_size, Path(entry.path)))
            elif entry.name.endswith(".part") and time.time() - status.st_mtime > _ABANDONED:
                Path(entry.path).unlink(missing_ok=True)
    total = sum(item[1] for item in files)
    for _, nbytes, path in sorted(files):
        if total <= size:
            return
        if path != newest:
            path.unlink(missing_ok=True)
            total -= nbytes
