"""roque: the library that more than one service needs.

The rooms stand in the order of the data's way: frames, instruments, spool, calibration, photometry, lightcurves,
simulation, archive, jobs, bus. A room imports only rooms above it.
"""

__version__ = "0.1.0"
