"""`mobvibe up`: starts stores, schema and all processes on this machine, and stops them together."""

from bridge.dev.up.launcher import Launcher

__all__ = ["Launcher"]
