# ruff: noqa: INP001 -- a script, beside its requirements
"""dramatiq_dashboard beside the bridge, in an environment of its own: docs/how-to/dramatiq-dashboard.md."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from dramatiq.brokers.redis import RedisBroker
from dramatiq_dashboard import make_wsgi_middleware

PREFIX = "/drama"

broker = RedisBroker(url=os.environ["REDIS_URL"], namespace=os.environ.get("REDIS_NAMESPACE", "mobvibe"))
for queue in os.environ.get("QUEUES", "coding").split(","):
    broker.declare_queue(queue.strip())


def elsewhere(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("302 Found", [("Location", f"{PREFIX}/")])
    return [b""]


app = make_wsgi_middleware(PREFIX, broker)(elsewhere)
