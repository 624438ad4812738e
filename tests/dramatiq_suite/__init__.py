"""Dramatiq's own tests, run against our broker: `make check-dramatiq`."""
