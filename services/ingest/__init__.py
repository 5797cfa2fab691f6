"""Watches incoming folders; registers nights, runs and frames."""
