"""For actors that hold a conversation: `open_record(job)` is where its turn is stored.

A turn of a coding session is the work of one job. All that it stores is fenced: what an attempt writes after another
one has replaced it is refused with NotOursError.
"""

from bridge.postgres.turns import Call, Message, OverBudget, Usage
from bridge.sessions.record import Record, open_record
from bridge.sessions.wanted import WantedSandboxes, database_mark, wanted_sandboxes

__all__ = [
    "Call",
    "Message",
    "OverBudget",
    "Record",
    "Usage",
    "WantedSandboxes",
    "database_mark",
    "open_record",
    "wanted_sandboxes",
]
