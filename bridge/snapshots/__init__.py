"""The files of a session's workspace as they were after each turn, in a bare Git repository."""
