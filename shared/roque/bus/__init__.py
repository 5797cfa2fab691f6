"""Celery application, queues and the relay from the record to the broker."""
