"""Bytes of small sound files of every raw format, made in the tests."""

from __future__ import annotations

import io
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from tests.mutants.honest_fits import ones_sum
from tests.support.hipercam import make_run
from tests.support.ultra import pairs, spec_windows, stamp1, ultracam_run, ultraspec_run

__all__ = ["described", "hcm_files", "hipercam_runs", "tiled", "ultra_runs"]

Files = dict[str, bytes]


@cache
def hipercam_runs() -> list[bytes]:
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
    runs[-1].cards["DATASUM"] = str(ones_sum(b"".join(map(runs[-1].frame, range(3)))))
    # FITS files are filled up to whole blocks
    whole = [run.header() + b"".join(map(run.frame, range(len(run.pixels)))) for run in runs]
    return [data + bytes(-len(data) % 2880) for data in whole]


@cache
def ultra_runs() -> list[Files]:
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


def described_header(**more: object) -> dict[str, object]:
    header = {"OBJECT": "star", "EXPTIME": 60.0, "FILTER": "Clear", "INSTRUME": "Main", "CREATOR": "MicroObservatory2014"}
    return header | {"UT-OBS": "2017-12-20T01:33:43.317", "TELTEMP": 287.0} | more


@cache
def described() -> list[bytes]:
    """Plain images of a described camera: of whole numbers and real ones, with sums and without, in HDU 0 and after it."""
    from astropy.io import fits

    rng, made = np.random.default_rng(3), []
    for n, kind in enumerate(("i2", "u2", "f4", "f8", "i4", "u1")):
        data = rng.integers(0, 200, (12, 17)).astype(kind)
        header, out = fits.Header(described_header()), io.BytesIO()
        image = fits.ImageHDU(data, header) if n % 2 else fits.PrimaryHDU(data, header)
        fits.HDUList([fits.PrimaryHDU(), image] if n % 2 else [image]).writeto(out, checksum=n > 1)
        made.append(out.getvalue())
    return made


@cache
def tiled() -> list[tuple[bytes, np.ndarray]]:
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
        packed = fits.CompImageHDU(data, fits.Header(described_header()), **way)
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(out, checksum=True)
        with fits.open(io.BytesIO(out.getvalue())) as back:
            made.append((out.getvalue(), back[1].data.copy()))
    return made


@cache
def hcm_files() -> list[bytes]:
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
