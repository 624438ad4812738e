"""The name of a process."""

import os
import socket

from bridge.runtime.process_name import process_name


def test_a_name_is_the_worker_id_or_the_host_and_the_pid() -> None:
    assert process_name("worker-7") == f"worker-7:{os.getpid()}"
    assert process_name(None) == f"{socket.gethostname()}:{os.getpid()}"
