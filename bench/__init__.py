"""Measures this project and its peers, in one run on one machine: `python -m bench`."""
