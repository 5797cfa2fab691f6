"""From a run to measurements: apertures, search, profile fits, tracking, extraction."""
