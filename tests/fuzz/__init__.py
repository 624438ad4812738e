"""Bad inputs by the hundred thousand: requests for the web process, messages for a worker, with a verdict on each.

`python -m tests.fuzz --help`; `make fuzz` runs it at full size.
"""
