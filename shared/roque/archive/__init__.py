"""The record: models, sessions, queries, bulk load, the product store."""

from roque.archive.session import Record

__all__ = ["Record"]
