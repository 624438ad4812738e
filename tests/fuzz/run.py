"""One run: all requests, then all messages."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from pydantic import SecretStr

from bridge.settings import Settings
from tests.fuzz.sockets import fuzz_server
from tests.fuzz.tally import Tally
from tests.fuzz.web import fuzz_app
from tests.fuzz.worker import fuzz_worker

SECRET = "the-secret-of-a-run-which-no-answer-may-hold"
_EACH_BY_SOCKET = 20  # one of this many requests goes over a socket


@dataclass(frozen=True)
class Size:
    seed: int
    requests: int
    messages: int


def run(size: Size, dsn: str, redis_url: str, folder: Path) -> dict[str, Tally]:
    """Run all inputs against two stores that hold only the schema. Returns the tallies by title."""
    secrets = (SECRET, *_passwords(dsn, redis_url))
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url=SecretStr(dsn),
        redis_url=SecretStr(redis_url),
        supabase_jwt_secret=SecretStr(SECRET),
        mobvibe_dir=folder / ".mobvibe",
    )
    by_socket = size.requests // _EACH_BY_SOCKET
    tallies = {"requests": fuzz_app(settings, secrets, size.requests - by_socket, size.seed)}
    tallies["requests over sockets"] = fuzz_server(settings, secrets, folder, by_socket, size.seed)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM coding_jobs")  # no worker runs these
    tallies["messages"] = fuzz_worker(dsn, redis_url, secrets, folder, size.messages, size.seed)
    return tallies


def _passwords(*addresses: str) -> list[str]:
    return [password for address in addresses if (password := urlsplit(address).password)]
