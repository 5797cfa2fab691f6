"""Views for people's SQL: `runs`, `headers`, `frames` and so on; their columns outlive those of the tables."""

from __future__ import annotations

from sqlalchemy import Connection

from roque.photometry.flags import Flag

__all__ = ["VIEWS", "create_views", "drop_views"]

_BAD = int(
    Flag.NO_FWHM
    | Flag.NO_SKY
    | Flag.TARGET_AT_EDGE
    | Flag.TARGET_SATURATED
    | Flag.NO_EXTRACTION
    | Flag.NO_DATA
    | Flag.JUNK
    | Flag.LOST
    | Flag.UNCERTAIN
)

VIEWS: dict[str, str] = {
    "runs": """
SELECT run.id AS run_id, instrument.name AS instrument, night.date AS night, run.name AS run, run.version, run.state,
       run.kind, run.object, run.mode, run.xbin, run.ybin, run.speed, run.exposure, run.frames_expected, run.frames,
       run.frames_dropped, run.frames_missing, run.bad_times, run.mjd_first, run.mjd_last, site.name AS site,
       (SELECT r.name FROM reduction AS r WHERE r.run_id = run.id AND r.state = 'done'
        ORDER BY r.finished_at DESC, r.id DESC LIMIT 1) AS reduction
FROM run
JOIN instrument ON instrument.id = run.instrument_id
JOIN night ON night.id = run.night_id
LEFT JOIN site ON site.id = instrument.site_id
WHERE run.state <> 'superseded'
""",
    "headers": """
SELECT run.id AS run_id, instrument.name AS instrument, night.date AS night, run.name AS run, run.version, run.header
FROM run
JOIN instrument ON instrument.id = run.instrument_id
JOIN night ON night.id = run.night_id
WHERE run.state <> 'superseded'
""",
    "frames": """
SELECT frame.run_id, run.name AS run, night.date AS night, frame.number AS frame, frame.ccd,
       frame.mjd_int + frame.mjd_frac AS mjd, frame.exposure, frame.time_ok, frame.data_ok
FROM frame
JOIN run ON run.id = frame.run_id
JOIN night ON night.id = run.night_id
""",
    "measurements": """
SELECT run.name AS run, m.night, instrument.name AS instrument, reduction.name AS reduction, reduction.state,
       m.frame, m.ccd, m.aperture, m.mjd_int + m.mjd_frac AS mjd, m.time_ok, m.exposure, m.mfwhm, m.mbeta, m.x, m.xe,
       m.y, m.ye, m.fwhm, m.fwhme, m.beta, m.betae, m.counts, m.countse, m.sky, m.skye, m.nsky, m.nrej, m.peak, m.flag
FROM reduction
JOIN run ON run.id = reduction.run_id
JOIN night ON night.id = run.night_id
JOIN instrument ON instrument.id = run.instrument_id
JOIN measurement AS m ON m.night = night.date AND m.reduction_id = reduction.id
""",
    "radii": """
SELECT run.name AS run, m.night, instrument.name AS instrument, reduction.name AS reduction, reduction.state,
       m.frame, m.ccd, m.aperture, m.mjd_int + m.mjd_frac AS mjd, m.mfwhm, r.factor, r.radius, r.counts, r.countse,
       r.peak, r.flag
FROM reduction
JOIN run ON run.id = reduction.run_id
JOIN night ON night.id = run.night_id
JOIN instrument ON instrument.id = run.instrument_id
JOIN radius_measurement AS r ON r.night = night.date AND r.reduction_id = reduction.id
JOIN measurement AS m ON m.night = r.night AND m.reduction_id = r.reduction_id AND m.ccd = r.ccd
     AND m.aperture = r.aperture AND m.frame = r.frame
""",
    "light_curves": f"""
SELECT run.name AS run, t.night, instrument.name AS instrument, run.object, reduction.name AS reduction, t.frame, t.ccd,
       t.aperture AS target, c.aperture AS comparison, t.mjd_int + t.mjd_frac AS mjd, t.exposure,
       t.counts / c.counts AS ratio,
       abs(t.counts / c.counts) * sqrt(t.countse * t.countse / (t.counts * t.counts)
                                       + c.countse * c.countse / (c.counts * c.counts)) AS ratio_error,
       t.flag AS flag, c.flag AS comparison_flag
FROM reduction
JOIN run ON run.id = reduction.run_id
JOIN night ON night.id = run.night_id
JOIN instrument ON instrument.id = run.instrument_id
JOIN measurement AS t ON t.night = night.date AND t.reduction_id = reduction.id AND t.aperture = reduction.target
JOIN measurement AS c ON c.night = t.night AND c.reduction_id = t.reduction_id AND c.ccd = t.ccd AND c.frame = t.frame
     AND c.aperture <> t.aperture
WHERE reduction.state = 'done' AND t.counts <> 0 AND c.counts <> 0 AND t.flag & {_BAD} = 0 AND c.flag & {_BAD} = 0
""",  # noqa: S608 - what is put in is a number of ours
}
"""Name to SELECT statement, in the common dialect of SQLite (3.35 or later) and PostgreSQL. Rows are found by their night and
reduction, with which the key of the measurements begins."""


def create_views(connection: Connection) -> None:
    """Make every view."""
    for name, select in VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {select}")


def drop_views(connection: Connection) -> None:
    """Drop every view: tables beneath a view cannot be altered."""
    for name in VIEWS:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
