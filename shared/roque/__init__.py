"""roque: the library that more than one service needs.

The rooms stand in the order of the data's way: frames, instruments, spool, calibration, photometry, lightcurves,
simulation, archive, jobs, bus. A room imports only rooms above it.

``from roque import Hlog, Series`` gives notebooks what they want most; it is loaded when it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roque.lightcurves import Series
    from roque.notebook import Hlog

__all__ = ["Hlog", "Series", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # `roque --help` should not wait for these
    if name == "Hlog":
        from roque.notebook import Hlog  # noqa: PLC0415

        return Hlog
    if name == "Series":
        from roque.lightcurves.series import Series  # noqa: PLC0415

        return Series
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
