"""Redactors for tests: one that knows a secret, and one that knows none."""


class Plain:
    def feed(self, text: str) -> str:
        return text

    def end(self) -> str:
        return ""


class Knows:
    """Hides one secret, also when it comes in pieces."""

    def __init__(self, secret: str) -> None:
        self._secret, self._held = secret, ""

    def feed(self, text: str) -> str:
        held = (self._held + text).replace(self._secret, "***")
        kept = next((n for n in range(len(self._secret) - 1, 0, -1) if held.endswith(self._secret[:n])), 0)
        self._held = held[len(held) - kept :]
        return held[: len(held) - kept]

    def end(self) -> str:
        rest, self._held = self._held, ""
        return rest
