"""Runs actors in tests, without stores: a job runs to its end in the calling thread.

Call `connect_testing_broker()` before the actors package is imported, for example in `conftest.py`; then
`run_job(actor, payload)`. There are no claims, leases and time limits. The waits before retries are recorded, and not
waited for.
"""

from bridge.testing.attempts import Ended
from bridge.testing.broker import TestingBroker, connect_testing_broker, run_job

__all__ = ["Ended", "TestingBroker", "connect_testing_broker", "run_job"]
