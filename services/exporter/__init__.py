"""Writes whatever leaves: logs, tables, plots."""
