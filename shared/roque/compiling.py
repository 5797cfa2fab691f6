"""numba, as all kernels have it."""

from __future__ import annotations

import sys
from importlib import import_module

from numba import njit, typeof

__all__ = ["njit", "typeof"]


def _load_without_scipy() -> None:
    """Load the part of numba that imports scipy's linear algebra where that is installed.

    No kernel uses it, and it takes longer than all else that a short command does. Functions of numba that need it import
    it again when they are compiled.
    """
    if "scipy.linalg" not in sys.modules:
        sys.modules["scipy.linalg"] = None  # type: ignore[assignment]
        try:
            import_module("numba.np.arraymath")
        finally:
            del sys.modules["scipy.linalg"]


_load_without_scipy()
