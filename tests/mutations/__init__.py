"""Removes each condition of the fenced functions in turn: a test must fail. python -m tests.mutations"""
