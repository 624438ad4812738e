"""The name of a process, as operators see it in Postgres and on the pages."""

import os
import socket


def process_name(worker_id: str | None) -> str:
    """`host:pid`, or with WORKER_ID `id:pid`: all processes of one host may be given the same id."""
    return f"{worker_id or socket.gethostname()}:{os.getpid()}"
