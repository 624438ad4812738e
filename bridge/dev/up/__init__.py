"""`mobvibe up`: stores, schema and all processes on this machine, and the end of all of them."""

from bridge.dev.up.launcher import Launcher

__all__ = ["Launcher"]
