"""Every way in which an actor or a middleware can end, tried with real processes against the expected outcome.

`python -m tests.outcomes` tries all of them and prints the results; `tests/acceptance/test_outcomes.py` tries the same.
"""
