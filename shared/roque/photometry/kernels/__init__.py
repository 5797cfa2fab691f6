"""Compiled code: what is done to every pixel, star and frame."""
