"""Random wake-ups over Redis and notifications of Postgres, which anybody may send to a bridge or a worker."""

import json
import random
from typing import Any

from tests.fuzz.bad_values import NASTY, any_bytes, any_value, not_json
from tests.fuzz.messages import QUEUE


def any_hint(dice: random.Random) -> bytes:
    """A message for the channel on which workers report freed slots."""
    good: dict[str, Any] = {"settled": {QUEUE: [1, 1.0]}, "queues": [QUEUE]}
    numbers: tuple[Any, ...] = (
        0,
        -1,
        -(10**9),
        10**9,
        2**40,
        10**400,
        1e308,
        float("inf"),
        float("-inf"),
        float("nan"),
        "7",
        None,
        [],
    )
    match dice.randrange(5):
        case 0:
            return any_bytes(dice)
        case 1:
            return not_json(dice, json.dumps(good).encode())
        case 2:
            return json.dumps(good | {dice.choice(("settled", "queues", "handed", "by")): any_value(dice)}).encode()
        case 3:
            return json.dumps({"handed": {QUEUE: dice.choice(numbers)}, "by": "x"}).encode()
        case _:
            return json.dumps(good | {"settled": {QUEUE: [dice.choice(numbers), dice.choice(numbers)]}}).encode()


def any_notification(dice: random.Random) -> str:
    """A notification for `new_job` that Postgres accepts: text without NUL, less than 8000 bytes."""
    text: str = dice.choice(
        (
            "x" * 7999,
            "[" * 7999,
            json.dumps({"count": dice.choice((float("inf"), float("nan"), "9" * 5000, -1, [], None))}),
            json.dumps({"job_id": any_value(dice), "session_id": any_value(dice)}),
            json.dumps(any_value(dice)),
            '{"job_id": "\\ud800", "session_id": null}',
            dice.choice(NASTY),
        )
    )
    return text.replace("\x00", "").encode("utf-8", "replace")[:7999].decode("utf-8", "ignore")
