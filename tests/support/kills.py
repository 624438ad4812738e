"""Kills a turn at a chosen point: before or after any write, or any command. As a kill -9 does, without a process."""


class Killed(BaseException):
    """Nothing in the product catches it."""


class Kills:
    """`point()` counts; the `at`-th one kills. `passed` are the names of the points so far."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.passed: list[str] = []

    def point(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) == self.at:
            raise Killed(name)
