"""The files of a session: saved after each turn, shown as diffs, brought back into a new sandbox."""
