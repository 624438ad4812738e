"""All parts of Dramatiq that this package replaces, or uses although they are undocumented, with the reason.

Written for Dramatiq 2.2. tests/unit/worker/test_dramatiq_patches.py fails when the installed Dramatiq has other code
at one of these places. This list then says which of our code to check. It also fails when a class of ours
overrides something of Dramatiq that is not listed. Hooks of middleware are not: Dramatiq documents them.

Replaced in a running worker process, by the functions below, which `JobMiddleware` calls:

- `dramatiq.worker.Worker.__init__`: it makes a PriorityQueue, a prefetch of twice the threads and a timeout of one
  second, and gives all three to the threads it starts later. See `prepare_worker`.
- `dramatiq.worker.ConsumerThread.handle_delayed_messages`: does nothing here. See `patch_threads`.
- `dramatiq.worker.WorkerThread.process_message`: what it raises does not end its thread, see `patch_threads`; its log
  lines about outcomes are dropped, see `drop_outcome_lines`.
- `dramatiq.compat.StreamablePipe`: threads that print at the same time mix their texts, and one that closes its output
  closes everyone's. See process_output.py.

Replaced by subclasses:

- `dramatiq.broker.Broker.emit_before`, `dramatiq.broker.Broker.emit_after`: HookedBroker calls only the hooks that a
  middleware defines, and what a hook raises does not end the thread that runs the jobs.
- `dramatiq.broker.Broker.add_middleware`: FleetBroker keeps our middleware first, and forgets the list of hooks.
- `dramatiq.broker.Broker.close`: ends what ours have beside Dramatiq's, such as the link that `.send()` inserts over.
- `dramatiq.brokers.redis.RedisBroker.__init__`: JobBroker calls it, with a client of its own.
- `dramatiq.brokers.redis.RedisBroker.declare_queue`, `dramatiq.brokers.redis.RedisBroker.enqueue`,
  `dramatiq.brokers.redis.RedisBroker.flush`, `dramatiq.brokers.redis.RedisBroker.__getattr__`: no delay queues, and
  commands of our own for what Dramatiq asks of Redis (`do_enqueue`, `do_requeue`, `do_nack`, `do_qsize`).
- `dramatiq.brokers.redis.RedisBroker.consumer_class`, `dramatiq.brokers.redis._RedisConsumer`: JobConsumer takes its
  place. It is woken, and acknowledges in groups.
- `dramatiq.broker.Consumer.__next__`, `dramatiq.broker.Consumer.ack`, `dramatiq.broker.Consumer.nack`,
  `dramatiq.broker.Consumer.requeue`, `dramatiq.broker.Consumer.close`: so JobConsumer has all of a consumer itself.
- `dramatiq.broker.MessageProxy`: JobMessage has fields of its own, because the proxy is slow.
- `dramatiq.asyncio.EventLoopThread`, `dramatiq.middleware.asyncio.AsyncIO`: JobLoop and JobAsyncIO survive what a
  coroutine raises, and wait for the end of one that was cancelled.
- `dramatiq.middleware.callbacks.Callbacks`, `dramatiq.middleware.pipelines.Pipelines`,
  `dramatiq.middleware.retries.Retries`: follow_ups.py does what their options ask for, and Postgres counts retries.
- `dramatiq.actor.Actor.__call__`: it calls `fn`, which InterruptGuard wraps.

Used, though not documented:

- `dramatiq.brokers.redis.RedisBroker.consume`: what JobConsumer is made with.
- `dramatiq.worker.ConsumerThread.run`, `dramatiq.worker.ConsumerThread.handle_message`: JobConsumer yields None if
  there is no job, and is called again.
- `dramatiq.worker.ConsumerThread.pause`, `dramatiq.worker.ConsumerThread.resume`: their `paused`, for the watchdog: a
  thread that is paused gives no sign of life.
- `dramatiq.worker.ConsumerThread.post_process_message`, `dramatiq.worker.ConsumerThread.close`: what is acknowledged,
  and what is closed when the process leaves.
- `dramatiq.worker.WorkerThread.run`, `dramatiq.worker.Worker.join`, `dramatiq.common.iter_queue`: what they ask of the
  queue between the threads, WorkQueue has.
- `dramatiq.worker.Worker.stop`: JobMiddleware winds the process down meanwhile, and ends it if this takes too long.
- `dramatiq.cli.worker_process`: the order of the boot; its handler of signals, which StopSignals finds in its local
  `termhandler` and calls, and its `running`, which says whether that was called before; its last argument, the event by
  which the parent process knows that this one has booted (`let_parent_pass_signals_on`).
- `dramatiq.cli.RET_IMPORT`: the exit code by which Supervisor knows that the actors package may not be importable.
- `dramatiq.broker.get_broker`, `dramatiq.broker.set_broker`: the `global_broker` that they keep is read directly, as
  `get_broker` would make one where there is none.
- `dramatiq.asyncio.get_event_loop_thread`, `dramatiq.asyncio.set_event_loop_thread`: where JobAsyncIO puts JobLoop.
- `dramatiq.middleware.time_limit.TimeLimit`: its `time_limit`, in milliseconds, is that of actors that do not say.
- `dramatiq.threading.raise_thread_exception`: how a run is interrupted.
- `dramatiq.common.compute_backoff`: the wait that `min_backoff` and `max_backoff` ask for.
"""

import logging
from collections.abc import Callable
from functools import partial

from dramatiq import Broker, Worker
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Interrupt

from bridge.worker.work_queue import WorkQueue

logger = logging.getLogger(__name__)

# How often Dramatiq's threads check whether to stop or pause. Dramatiq's own value of a second would delay each stop.
_THREAD_TIMEOUT_MS = 200


def prepare_worker(worker: Worker) -> None:
    """Replace what the worker's threads will get from it. Called by `before_worker_boot`, before they are made."""
    worker.queue_prefetch = worker.worker_threads  # as an option of Dramatiq's would; our slots decide
    worker.worker_timeout = _THREAD_TIMEOUT_MS
    replace(worker, "work_queue", WorkQueue())  # has all that Dramatiq uses of its own queue


def patch_threads(broker: Broker, worker: Worker) -> None:
    """Patch the threads of a worker. Called by `after_worker_boot`, when they have begun.

    A consumer of a queue that is declared later, and its delay queue, stay as Dramatiq made them: they only cost more.
    """
    for consumer in worker.consumers.values():
        # After each message Dramatiq checks a queue of delayed ones, which is always empty here.
        replace(consumer, "handle_delayed_messages", lambda: None)
    for thread in worker.workers:
        replace(thread, "process_message", partial(_process_message, broker, thread.process_message))


def drop_outcome_lines() -> None:
    """Drop Dramatiq's log lines about how a message ended: they print its arguments, and our lines say the same."""
    logging.getLogger("dramatiq.worker.WorkerThread").addFilter(_is_not_about_an_outcome)


def _is_not_about_an_outcome(record: logging.LogRecord) -> bool:
    text = str(record.msg)
    is_ending = text.startswith(("Failed to process message", "Message %s was skipped"))
    return not is_ending and "returned a value that is" not in text


def replace(owner: object, name: str, ours: object) -> None:
    """Replace an attribute of this one object: Dramatiq's class stays unchanged."""
    vars(owner)[name] = ours


def _process_message(broker: Broker, dramatiqs: Callable[[MessageProxy], None], message: MessageProxy) -> None:
    """Log what Dramatiq's own code around an actor raises: otherwise it would end the thread, and with it a slot.

    For example, a time limit may be exceeded there, or an option may have a value that Dramatiq does not expect.
    """
    try:
        dramatiqs(message)
    except Interrupt as late:
        broker.emit_after("process_message", message, exception=late.__context__ or late)
    except BaseException as error:
        logger.critical("Unexpected failure around an actor", exc_info=True)
        broker.emit_after("process_message", message, exception=error)
