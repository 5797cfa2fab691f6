"""Small sound files of every format that is read, and how a mutant of each is to be judged."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from tests.mutants import honest_fits, honest_raw, sound_files
from tests.mutants.damage import Damage, damage_bytes, damage_fits, damage_text, damage_xml
from tests.mutants.served import hipercam_answers, ultracam_answers
from tests.support.hipercam import make_run

__all__ = ["FORMATS", "Format", "Original"]

Files = dict[str, bytes]
GOLDEN = Path(os.environ.get("ROQUE_GOLDEN", Path(__file__).resolve().parents[3] / "shared" / "golden"))


@dataclass(frozen=True)
class Original:
    """Sound files, the one that is opened, those that may be damaged and how, and what an honest reader makes of them."""

    files: Files
    path: str
    damages: dict[str, Damage]
    frames: Callable[[Files], Any]


@dataclass(frozen=True)
class Format:
    """How files of a kind are opened ('run', or the name of a text format), and its originals."""

    kind: str
    originals: Callable[[], list[Original]]


def _plain(name: str, data: bytes, damage: Damage, frames: Callable[[bytes], Any]) -> Original:
    return Original({name: data}, name, {name: damage}, lambda files: frames(files[name]))


def _packed(original: Original) -> Original:
    """Pack the files of an original, of which the packed bytes are damaged."""
    packed = {f"{name}.gz": gzip.compress(data, 6, mtime=0) for name, data in original.files.items()}
    return Original(
        packed,
        f"{original.path}.gz",
        dict.fromkeys(packed, damage_bytes),
        lambda files: original.frames({name[:-3]: honest_fits.gunzip(data) for name, data in files.items()}),
    )


def _image(data: bytes) -> Any:
    images = honest_fits.fits_images(data)
    if not images:
        raise honest_fits.Refused("no image")
    if not honest_fits.sums_agree(data):
        raise honest_fits.Refused("sums disagree")
    return [{("1", "1"): (None, None, None, None, images[0][1])}], False


def _hcm(data: bytes) -> Any:
    frames = honest_fits.hcm(data)
    if not honest_fits.sums_agree(data):
        raise honest_fits.Refused("sums disagree")
    return frames


def _unpacked(pixels: np.ndarray) -> Callable[[bytes], Any]:
    def frames(data: bytes) -> Any:
        told = [h for h, *_ in honest_fits.hdus(data) if h.get("ZIMAGE") is True]
        if not honest_fits.sums_agree(data):
            raise honest_fits.Refused("sums disagree")
        if not told or not {"DATASUM", "CHECKSUM"} <= told[0].keys():
            raise honest_fits.Unknown
        return [{("1", "1"): (None, None, None, None, pixels)}], False

    return frames


def _lists() -> list[Original]:
    files = {f"a_{i}.hcm": sound_files.hcm_files()[0] for i in (1, 2, 3)}
    text = b"# frames\n\na_1\na_2.hcm\n  a_3\n"

    def frames(own: Files) -> Any:
        names = [line.strip() for line in own["run.lis"].decode("utf-8", "replace").splitlines()]
        names = [name if name.endswith(".hcm") else f"{name}.hcm" for name in names if name and name[0] != "#"]
        if not names or not {*names} <= own.keys():
            raise honest_fits.Refused("no such file")
        return [honest_fits.hcm(own[name])[0][0] for name in names], False

    return [Original(files | {"run.lis": text}, "run.lis", {"run.lis": damage_text}, frames)]


def _hipercam() -> list[Original]:
    return [_plain("run0001.fits", data, damage_fits, honest_raw.hipercam) for data in sound_files.hipercam_runs()]


def _ultra() -> list[Original]:
    damages = {"run012.xml": damage_xml, "run012.dat": damage_bytes}
    return [
        Original(files, "run012.xml", damages, lambda own: honest_raw.ultra(*(own[n] for n in damages)))
        for files in sound_files.ultra_runs()
    ]


def _fits() -> list[Original]:
    foreign = [(GOLDEN / "foreign" / name / "raw" / f"{name}_1.fits").read_bytes() for name in ("intwfc", "ltio", "ltrise")]
    return [_plain("star.fits", data, damage_fits, _image) for data in [*sound_files.described(), *foreign]]


def _frames_of_hcm() -> list[Original]:
    return [_plain("frame.hcm", data, damage_fits, _hcm) for data in sound_files.hcm_files()]


def _gz() -> list[Original]:
    return [_packed(o) for group in (_hipercam(), _ultra(), _fits(), _frames_of_hcm()) for o in group]


def _kept(sound: bytes, frames: Any) -> Callable[[bytes], Any]:
    """Frames of a file without sums whose tiles have their own: they tell nothing of a header or a place that is another."""
    *_, (_, _, start, _, _) = honest_fits.hdus(sound)

    def read(data: bytes) -> Any:
        if data[: start + 8] != sound[: start + 8] or len(data) < len(sound):
            raise honest_fits.Unknown
        return frames

    return read


def _packed_run() -> Original:
    """A raw run of a single tile, packed as fpack does it."""
    from astropy.io import fits

    plain, out = sound_files.hipercam_runs()[0], io.BytesIO()
    with fits.open(io.BytesIO(plain), uint=True) as hdus:
        cube = hdus[0].data
        packed = fits.CompImageHDU(cube, hdus[0].header, compression_type="GZIP_1", tile_shape=cube.shape)
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(out)
    data = out.getvalue().replace(b"ZTENSION= 'IMAGE   '          ", b"ZSIMPLE =                    T")
    return _plain("run0001.fits.fz", data, damage_fits, _kept(data, honest_raw.hipercam(plain)))


def _packed_hcm() -> Original:
    """A window of an hcm file, packed without loss."""
    from astropy.io import fits

    out = io.BytesIO()
    with fits.open(io.BytesIO(sound_files.hcm_files()[0])) as hdus:
        first, image = hdus[0].header, hdus[1]
        first["NUMCCD"], image.header["NUMWIN"] = 1, 1
        way: Any = {"compression_type": "GZIP_1", "quantize_level": 0, "tile_shape": image.data.shape}
        fits.HDUList([fits.PrimaryHDU(header=first), fits.CompImageHDU(image.data, image.header, **way)]).writeto(out)
    frames = [dict(list(honest_fits.hcm(sound_files.hcm_files()[0])[0][0].items())[:1])], False
    return _plain("frame.hcm.fz", out.getvalue(), damage_fits, _kept(out.getvalue(), frames))


@cache
def _fz() -> list[Original]:
    tiled = [_plain("star.fits.fz", data, damage_fits, _unpacked(pixels)) for data, pixels in sound_files.tiled()]
    return [*tiled, _packed_run(), _packed_hcm()]


FORMATS = {
    "hipercam": Format("run", _hipercam),
    "ultra": Format("run", _ultra),
    "hcm": Format("run", _frames_of_hcm),
    "fits": Format("run", _fits),
    "gz": Format("run", _gz),
    "fz": Format("run", _fz),
    "lis": Format("run", _lists),
}


def _logs() -> list[Original]:
    """A log of a reduction as FITS tables."""
    from roque.lightcurves import Hlog

    with tempfile.TemporaryDirectory() as folder:
        log = Hlog.from_ascii(GOLDEN / "ultracam" / "run002_normal.log")
        log.to_fits(Path(folder) / "a.hlog", "run002_normal.log")
        return [_plain("a.hlog", (Path(folder) / "a.hlog").read_bytes(), damage_fits, lambda _: None)]


def _texts(ending: str) -> list[Original]:
    files = {
        "ape": GOLDEN / "hipercam" / "peer" / "A.ape",
        "red": GOLDEN / "hipercam" / "peer" / "A_biasonly.red",
        "log": GOLDEN / "ultracam" / "run002_normal.log",
        "camera": Path(str(resources.files("roque.instruments"))) / "cameras" / "microobservatory.toml",
    }
    data = files[ending].read_bytes()
    return [Original({files[ending].name: data}, files[ending].name, {files[ending].name: damage_text}, lambda _: None)]


FORMATS |= {kind: Format(kind, partial(_texts, kind)) for kind in ("ape", "red", "log", "camera")}
FORMATS["hlog"] = Format("hlog", cache(_logs))


def _served_hipercam() -> list[Original]:
    words = {"ESO DET ACQ1 WIN NX": 4 * 20 * 8 * 6, "ESO DET ACQ1 WIN NY": 1}
    runs = [make_run(1, cards=words), make_run(1, cards=words | {"ESO DET CLRCCD": True}, counters=[4])]
    return [_answers(hipercam_answers(run.header(), run.frame(0)), "get_hdr") for run in runs]


def _served_ultracam() -> list[Original]:
    runs = [(files["run012.xml"], files["run012.dat"]) for files in sound_files.ultra_runs()]
    sizes = [int(xml.partition(b'framesize="')[2].partition(b'"')[0]) for xml, _ in runs]
    return [_answers(ultracam_answers(xml, dat[:size]), "get_xml") for (xml, dat), size in zip(runs, sizes, strict=True)]


def _answers(answers: Files, first: str) -> Original:
    return Original(answers, first, dict.fromkeys(answers, damage_bytes), lambda _: None)


FORMATS |= {"hs": Format("hs", _served_hipercam), "us": Format("us", _served_ultracam)}
