"""Bad inputs by the hundred thousand: requests for the web process, messages for a worker; each answer is checked.

`python -m tests.fuzz --help`; `make fuzz` runs it at full size.
"""
