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

from tests.mutants import honest_fits, honest_raw
from tests.mutants.damage import Damage, damage_bytes, damage_fits, damage_text, damage_xml
from tests.mutants.served import hipercam_answers, ultracam_answers
from tests.support.hipercam import make_run
from tests.support.ultra import pairs, spec_windows, stamp1, ultracam_run, ultraspec_run

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


@cache
def _hipercam_runs() -> list[bytes]:
    one, two = ((8, 6, 20, (100, 110, 120, 130)),), ((8, 6, 20, (1, 2, 3, 4)), (12, 4, 50, (5, 6, 7, 8)))
    turned = {"ESO DET ROTATE1": True, "ESO DET CLRCCD": True}
    runs = [
        make_run(3, "OneWindow", one, cards=turned),
        make_run(4, "TwoWindow", two),
        make_run(2, "OneWindow", one, nsamp=1),
        make_run(2, "OneWindow", ((20, 12, 30, (100, 110, 120, 130)),), (2, 2), prescan=True, overscan=True),
        make_run(3, "Drift", ((8, 6, 0, (100, 110, 110, 100)),), counters=[0, 1, 4]),
        make_run(2, "FullFrame", (), (64, 32)),
        make_run(3, "OneWindow", one),
    ]
    # the last as an archive has it
    runs[-1].cards["DATASUM"] = str(honest_fits.ones_sum(b"".join(map(runs[-1].frame, range(3)))))
    # FITS files are filled up to whole blocks
    whole = [run.header() + b"".join(map(run.frame, range(len(run.pixels)))) for run in runs]
    return [data + bytes(-len(data) % 2880) for data in whole]


@cache
def _ultra_runs() -> list[Files]:
    old = [stamp1(i, 414000 + i, 0, (9, 3, 2006)) for i in (1, 2, 3)]
    one, two = ((41, 561, 181, 8, 6),), ((41, 561, 181, 8, 6), (21, 901, 401, 12, 4))
    early = ultracam_run("ap5_250_window1pair", pairs(*one), 6 * 48, stamps=old)
    early.parameters.pop("REVISION")
    runs = [
        ultracam_run("appl5_window1pair_cfg", pairs(*one), 6 * 48, 5),
        ultracam_run("ap6_window2pair", {**pairs(*two, xbin=2, ybin=2), "NBLUE": 2}, 6 * (12 + 12), 4),
        ultracam_run("ap9_250_fullframe_mindead", pairs(xbin=32, ybin=64), 6 * 16 * 16, 2),
        ultracam_run("appl8_driftscan_cfg", pairs((41, 561, 181, 12, 20)), 6 * 240, 3),
        early,
        ultraspec_run("ccd201_winbin_con", spec_windows((109, 209, 8, 6), (301, 401, 10, 4)), 88, 5),
        ultraspec_run("ccd201_winbin_con", {**spec_windows((5, 209, 8, 6), xbin=2), "OUTPUT": 1}, 48),
        ultraspec_run("ccd201_driftscan_cfg", spec_windows((109, 209, 8, 6), (301, 209, 10, 6)), 108),
    ]
    return [{"run012.xml": run.xml().encode(), "run012.dat": run.data()} for run in runs]


def _described_header(**more: object) -> dict[str, object]:
    header = {"OBJECT": "star", "EXPTIME": 60.0, "FILTER": "Clear", "INSTRUME": "Main", "CREATOR": "MicroObservatory2014"}
    return header | {"UT-OBS": "2017-12-20T01:33:43.317", "TELTEMP": 287.0} | more


@cache
def _described() -> list[bytes]:
    """Plain images of a described camera: of whole numbers and real ones, with sums and without, in HDU 0 and after it."""
    from astropy.io import fits

    rng, made = np.random.default_rng(3), []
    for n, kind in enumerate(("i2", "u2", "f4", "f8", "i4", "u1")):
        data = rng.integers(0, 200, (12, 17)).astype(kind)
        header, out = fits.Header(_described_header()), io.BytesIO()
        image = fits.ImageHDU(data, header) if n % 2 else fits.PrimaryHDU(data, header)
        fits.HDUList([fits.PrimaryHDU(), image] if n % 2 else [image]).writeto(out, checksum=n > 1)
        made.append(out.getvalue())
    return made


@cache
def _tiled() -> list[tuple[bytes, np.ndarray]]:
    """Compressed images, with the sums that packers write."""
    from astropy.io import fits

    rng, made = np.random.default_rng(4), []
    ways = [
        {"compression_type": "RICE_1"},
        {"compression_type": "GZIP_2", "tile_shape": (5, 17)},
        {"compression_type": "GZIP_1"},
    ]
    ways += [{"compression_type": "RICE_1", "quantize_level": 16, "dither_seed": 12}]
    for n, way in enumerate(ways):
        data = rng.normal(350, 9, (12, 17)).astype("f4" if n == 3 else "i2")
        out = io.BytesIO()
        packed = fits.CompImageHDU(data, fits.Header(_described_header()), **way)
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(out, checksum=True)
        with fits.open(io.BytesIO(out.getvalue())) as back:
            made.append((out.getvalue(), back[1].data.copy()))
    return made


@cache
def _hcm_files() -> list[bytes]:
    from roque.frames import CCD, Frame, Geometry, Window
    from roque.frames.hcm import write_hcm

    rng, made = np.random.default_rng(5), []
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("f4", "f8", "u2"):
            windows = [
                Window(Geometry(5 + 20 * i, 9, 2, 1, 6 + i, 5), rng.integers(0, 99, (5, 6 + i)).astype(kind)) for i in range(4)
            ]
            ccds = {
                label: CCD(dict(zip(("E1", "F1"), windows[at : at + 2], strict=True)), 200, 100, 0, 0, 58000, 0.25, 3.0)
                for at, label in ((0, "1"), (2, "2"))
            }
            write_hcm(Path(folder) / f"{kind}.hcm", Frame(ccds, 1, {"OBJECT": "star", "INSTRUME": "HIPERCAM"}))
            made.append((Path(folder) / f"{kind}.hcm").read_bytes())
    return made


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
    files = {f"a_{i}.hcm": _hcm_files()[0] for i in (1, 2, 3)}
    text = b"# frames\n\na_1\na_2.hcm\n  a_3\n"

    def frames(own: Files) -> Any:
        names = [line.strip() for line in own["run.lis"].decode("utf-8", "replace").splitlines()]
        names = [name if name.endswith(".hcm") else f"{name}.hcm" for name in names if name and name[0] != "#"]
        if not names or not {*names} <= own.keys():
            raise honest_fits.Refused("no such file")
        return [honest_fits.hcm(own[name])[0][0] for name in names], False

    return [Original(files | {"run.lis": text}, "run.lis", {"run.lis": damage_text}, frames)]


def _hipercam() -> list[Original]:
    return [_plain("run0001.fits", data, damage_fits, honest_raw.hipercam) for data in _hipercam_runs()]


def _ultra() -> list[Original]:
    damages = {"run012.xml": damage_xml, "run012.dat": damage_bytes}
    return [
        Original(files, "run012.xml", damages, lambda own: honest_raw.ultra(*(own[n] for n in damages)))
        for files in _ultra_runs()
    ]


def _fits() -> list[Original]:
    foreign = [(GOLDEN / "foreign" / name / "raw" / f"{name}_1.fits").read_bytes() for name in ("intwfc", "ltio", "ltrise")]
    return [_plain("star.fits", data, damage_fits, _image) for data in [*_described(), *foreign]]


def _frames_of_hcm() -> list[Original]:
    return [_plain("frame.hcm", data, damage_fits, _hcm) for data in _hcm_files()]


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

    plain, out = _hipercam_runs()[0], io.BytesIO()
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
    with fits.open(io.BytesIO(_hcm_files()[0])) as hdus:
        first, image = hdus[0].header, hdus[1]
        first["NUMCCD"], image.header["NUMWIN"] = 1, 1
        way: Any = {"compression_type": "GZIP_1", "quantize_level": 0, "tile_shape": image.data.shape}
        fits.HDUList([fits.PrimaryHDU(header=first), fits.CompImageHDU(image.data, image.header, **way)]).writeto(out)
    frames = [dict(list(honest_fits.hcm(_hcm_files()[0])[0][0].items())[:1])], False
    return _plain("frame.hcm.fz", out.getvalue(), damage_fits, _kept(out.getvalue(), frames))


@cache
def _fz() -> list[Original]:
    tiled = [_plain("star.fits.fz", data, damage_fits, _unpacked(pixels)) for data, pixels in _tiled()]
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
    runs = [(files["run012.xml"], files["run012.dat"]) for files in _ultra_runs()]
    sizes = [int(xml.partition(b'framesize="')[2].partition(b'"')[0]) for xml, _ in runs]
    return [_answers(ultracam_answers(xml, dat[:size]), "get_xml") for (xml, dat), size in zip(runs, sizes, strict=True)]


def _answers(answers: Files, first: str) -> Original:
    return Original(answers, first, dict.fromkeys(answers, damage_bytes), lambda _: None)


FORMATS |= {"hs": Format("hs", _served_hipercam), "us": Format("us", _served_ultracam)}
