"""Builds masters."""
