"""Logs in ASCII and FITS, series, ensemble light curves, plots."""
