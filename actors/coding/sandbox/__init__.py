"""Where the commands of a session run, apart from the worker and from other sessions."""
