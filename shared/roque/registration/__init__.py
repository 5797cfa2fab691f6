"""From raw files to rows of the record: what the ingest service and `roque ingest` share."""
