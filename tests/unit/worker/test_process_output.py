"""All jobs of a worker process print to one pipe: their texts arrive whole, and none of them closes it."""

import io
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import NamedTuple

import pytest
from dramatiq.compat import StreamablePipe

from bridge.worker.process_output import share
from tests.support.waiting import eventually

LONG = 300_000  # more than a pipe holds: a write of this is several, and waits for the reader between them


class Output(NamedTuple):
    printed: StreamablePipe
    parents_end: Connection


@pytest.fixture
def output() -> Iterator[Output]:
    """What jobs print to, and the end that Dramatiq's parent process reads."""
    parents_end, ours = Pipe(duplex=False)
    pipe = StreamablePipe(ours)
    share(pipe)
    yield Output(pipe, parents_end)
    parents_end.close()
    ours.close()


def test_texts_of_many_threads_arrive_whole(output: Output) -> None:
    texts = [str(digit) * LONG for digit in range(8)]
    with ThreadPoolExecutor(len(texts)) as threads, output.parents_end:  # closed: nobody waits for a reader
        for text in texts:
            threads.submit(output.printed.write, text)
        arrived = [output.parents_end.recv_bytes(LONG).decode() for _ in texts if output.parents_end.poll(10)]

    assert sorted(arrived) == texts


def test_an_output_that_one_job_closed_still_works_for_others(output: Output) -> None:
    output.printed.close()

    output.printed.write("of another job")

    assert output.parents_end.poll(10)
    assert output.parents_end.recv_bytes() == b"of another job"


def test_a_forked_process_prints_although_another_thread_was_printing(output: Output) -> None:
    printing = threading.Thread(target=output.printed.write, args=("x" * LONG,))
    printing.start()
    assert output.parents_end.poll(10)  # it has begun, and waits for a reader

    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.printed.fileno())  # so that it waits for no reader
        output.printed.write("in the child")
        os._exit(0)

    try:
        eventually(lambda: os.waitpid(child, os.WNOHANG) != (0, 0), what="the end of the child process")
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        output.parents_end.recv_bytes()
        printing.join()


def test_an_output_of_someone_else_stays_as_it_is() -> None:
    console = io.StringIO()
    share(console)
    assert vars(console) == {}
