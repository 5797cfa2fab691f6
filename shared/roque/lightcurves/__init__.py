"""Logs in ASCII, FITS and columns; series; light curves against an ensemble; pictures."""

from roque.lightcurves.airmass import airmass
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
    "airmass",
    "light_curves",
    "plot_light_curves",
    "write_columns",
    "write_csv",
    "write_log",
]
