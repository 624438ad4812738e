"""Takes each condition out of the fenced functions in turn: the tests must notice. python -m tests.mutations"""
