"""Combining frames; bias, dark, flat masters; choosing and applying them."""
