"""The command `mobvibe`."""
