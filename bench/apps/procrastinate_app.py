"""procrastinate, as its guide sets it up."""

import os

import procrastinate
from record import record

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))


@app.task(name="noop")
async def noop(key: int) -> None:
    record(key)


def prepare() -> None:
    with app.open():
        app.schema_manager.apply_schema()


def fill(count: int) -> None:
    with app.open():
        for start in range(0, count, 1000):
            noop.batch_defer(*({"key": key} for key in range(start, min(start + 1000, count))))


def send(key: int) -> None:
    app.open()  # harmless when it is open
    noop.defer(key=key)


if __name__ == "__main__":
    from client import main

    main(prepare, fill, send)
