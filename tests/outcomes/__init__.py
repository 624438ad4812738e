"""Every way an actor or a middleware can end, tried with real processes: what becomes of the job is written down.

`python -m tests.outcomes` runs all of it and prints what it saw; `tests/acceptance/test_outcomes.py` does the same.
"""
