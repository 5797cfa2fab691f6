"""What the chips do to the light, the same in every frame: sensitivities and bias."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from roque.simulation.layout import CHIP_COLUMNS, CHIP_ROWS, Patch
from roque.simulation.plan import Detector

__all__ = ["bias_field", "flat_field"]

Floats = NDArray[np.float32]


def flat_field(detector: Detector, layout: Sequence[Patch]) -> Floats:
    """Sensitivities of the unbinned pixels of all patches, one after another, mean near 1; float32, 1-d.

    They belong to the pixels of the chip: two runs with other windows see the same ones.
    """
    last = layout[-1].geometry
    field = np.empty(layout[-1].flat_start + last.nx * last.ny * last.xbin * last.ybin, np.float32)
    for ccd in range(5):
        rng = np.random.default_rng([detector.seed, 1, ccd])
        chip = rng.standard_normal((CHIP_ROWS, CHIP_COLUMNS), np.float32)
        for patch in (p for p in layout if p.ccd == ccd):
            g = patch.geometry
            columns = np.arange(g.llx, g.llx + g.nx * g.xbin)
            rows = np.arange(g.lly, g.lly + g.ny * g.ybin)
            response = 1.0 + detector.pixel_response_rms * chip[rows[0] - 1 : rows[-1], columns[0] - 1 : columns[-1]]
            u = (columns - 0.5 * CHIP_COLUMNS) / (0.5 * CHIP_COLUMNS)
            v = (rows - 0.5 * CHIP_ROWS) / (0.5 * CHIP_ROWS)
            fading = 1.0 - 0.5 * detector.vignetting * (u[None, :] ** 2 + v[:, None] ** 2)
            field[patch.flat_start : patch.flat_start + response.size] = (response * fading).ravel()
    return field


def bias_field(detector: Detector, layout: Sequence[Patch]) -> Floats:
    """Bias of the binned pixels of all patches, one after another, ADU; float32, 1-d."""
    last = layout[-1].geometry
    field = np.empty(layout[-1].start + last.nx * last.ny, np.float32)
    levels = detector.bias + detector.bias_spread * np.random.default_rng([detector.seed, 2]).uniform(-1.0, 1.0, (5, 4))
    columns = detector.bias_column_rms * np.random.default_rng([detector.seed, 3]).standard_normal((5, 4, CHIP_COLUMNS))
    for patch in layout:
        g = patch.geometry
        pattern = columns[patch.ccd, patch.position, g.llx - 1 : g.llx - 1 + g.nx * g.xbin].reshape(g.nx, g.xbin).mean(axis=1)
        field[patch.start : patch.start + g.nx * g.ny] = np.tile(levels[patch.ccd, patch.position] + pattern, g.ny)
    return field
