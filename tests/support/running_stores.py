"""A Postgres and a Redis for one run of a command, stopped however it ends."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bridge.dev.embedded import EmbeddedStores


@contextmanager
def running_stores(folder: Path, postgres_options: Mapping[str, str] | None = None) -> Iterator[EmbeddedStores]:
    """Their data is in `folder`, and stays there."""
    stores = EmbeddedStores(folder, postgres_options)
    stores.open_folder()
    try:
        stores.start()
        yield stores
    finally:
        stores.stop()
