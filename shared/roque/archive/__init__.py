"""The record: models, sessions, queries, bulk load, the product store."""
