"""The client's side of a contestant: `APP.py prepare`, `APP.py fill COUNT`, `APP.py trickle RATE COUNT`.

Keys of filled jobs are 0, 1, 2, …; `trickle` prints "key seconds" for each, the epoch seconds when its commit
(or its send) had returned.
"""

import sys
import time
from collections.abc import Callable


def main(prepare: Callable[[], None], fill: Callable[[int], None], send: Callable[[int], None]) -> None:
    match sys.argv[1:]:
        case ["prepare"]:
            prepare()
        case ["fill", count]:
            fill(int(count))
        case ["trickle", rate, count]:
            trickle(send, float(rate), int(count))
        case _:
            sys.exit(__doc__)


def trickle(send: Callable[[int], None], rate: float, count: int) -> None:
    sent = []
    began = time.time()
    for key in range(count):
        time.sleep(max(0.0, began + key / rate - time.time()))
        send(key)
        sent.append((key, time.time()))
    for key, when in sent:
        print(key, when)
