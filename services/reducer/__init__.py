"""Turns runs into measurements."""
