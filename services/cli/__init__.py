"""The command `roque`."""
