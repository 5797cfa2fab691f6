"""Decides what is missing; re-queues what was dropped; sweeps."""
