"""The Redis client as we want it, and Redis errors in our own words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bridge.errors import RedisUnavailableError, SettingsError

Client = redis.Redis
Script = Callable[..., Any]


def connect_redis(url: str, *, timeout_seconds: float = 5.0) -> Client:
    """A client that opens nothing yet and never repeats a command by itself.

    The driver's own retries would replay a command whose outcome is unknown. Whether that is safe is
    known where the command is sent, so it is decided there.
    """
    try:
        return redis.Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            socket_keepalive=True,
            health_check_interval=30,
            retry=Retry(NoBackoff(), 0),
            client_name="mobvibe",
        )
    except ValueError:
        raise SettingsError("REDIS_URL cannot be read; it looks like redis://:password@host:6379/0") from None


@contextmanager
def in_our_words() -> Iterator[None]:
    """Any trouble with Redis is RedisUnavailableError: full memory and a read-only replica pass, too."""
    try:
        yield
    except redis.RedisError as error:
        text = str(error).strip().splitlines()
        raise RedisUnavailableError(text[0] if text else type(error).__name__) from error


def check_redis(client: Client) -> None:
    """Raise RedisUnavailableError unless Redis answers."""
    with in_our_words():
        client.ping()


def load_script(client: Client, name: str) -> Script:
    """The script `lua/<name>.lua`, ready to call with keys and args."""
    text = resources.files("bridge.transport").joinpath("lua", f"{name}.lua").read_text("utf-8")
    script: Script = client.register_script(text)
    return script
