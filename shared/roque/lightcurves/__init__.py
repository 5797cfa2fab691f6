"""Logs in ASCII, FITS and columns; series; light curves against an ensemble; pictures.

What is named here is loaded when it is first used: a command that reads a log should not wait for what draws.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roque.lightcurves.columns import write_columns
    from roque.lightcurves.ensemble import Comparison, LightCurve, light_curves
    from roque.lightcurves.hlog import Hlog
    from roque.lightcurves.log_writer import LogHeader, write_log
    from roque.lightcurves.plots import plot_light_curves
    from roque.lightcurves.series import Series
    from roque.lightcurves.tables import write_csv

__all__ = [
    "Comparison",
    "Hlog",
    "LightCurve",
    "LogHeader",
    "Series",
    "light_curves",
    "plot_light_curves",
    "write_columns",
    "write_csv",
    "write_log",
]

_MODULES = {
    "columns": ("write_columns",),
    "ensemble": ("Comparison", "LightCurve", "light_curves"),
    "hlog": ("Hlog",),
    "log_writer": ("LogHeader", "write_log"),
    "plots": ("plot_light_curves",),
    "series": ("Series",),
    "tables": ("write_csv",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"roque.lightcurves.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
