"""Statistics of windows."""

import numpy as np

from roque.frames.statistics import statistics


def test_sums_are_made_in_the_type_of_the_counts_whose_digits_the_hipercam_pipeline_prints():
    counts = (9000.0 + np.random.default_rng(1).normal(0.0, 20.0, (60, 50))).astype(np.float32)
    found = statistics(counts)
    assert found.mean == float(counts.mean()) != float(counts.astype(np.float64).mean())
    assert found.std == float(counts.std())
    assert statistics(counts.astype(np.float64)).mean == float(counts.astype(np.float64).mean())


def test_windows_that_are_views_are_described_as_their_copies_are():
    counts = np.random.default_rng(2).normal(2000.0, 5.0, (40, 30)).astype(np.float32)
    assert statistics(counts[::-1, ::2]) == statistics(counts[::-1, ::2].copy())
