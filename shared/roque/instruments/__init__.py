"""One module or table per instrument: geometry, gain, limits, header rules, filters."""
