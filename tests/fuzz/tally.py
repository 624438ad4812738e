"""The results of the inputs, by kind, and the violations."""

from collections import Counter
from dataclasses import dataclass, field

_SHOWN = 10


@dataclass
class Tally:
    """Counts the inputs of one run. A violation is a broken promise; one is enough to fail the run."""

    refused: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def note(self, kind: str, *, accepted: bool) -> None:
        (self.accepted if accepted else self.refused)[kind] += 1

    def violate(self, kind: str, what: str) -> None:
        self.broken[kind] += 1
        if len(self.examples) < _SHOWN:
            self.examples.append(f"{kind}: {what}")

    @property
    def sent(self) -> int:
        return self.refused.total() + self.accepted.total()

    @property
    def holds(self) -> bool:
        return not self.broken

    def as_table(self, title: str) -> str:
        kinds = sorted({*self.refused, *self.accepted, *self.broken})
        rows = [(kind, self.refused[kind], self.accepted[kind], self.broken[kind]) for kind in kinds]
        rows.append(("all", self.refused.total(), self.accepted.total(), self.broken.total()))
        lines = [f"{title:<34}{'refused':>9}{'accepted':>10}{'violations':>12}"]
        lines += [f"{kind:<34}{refused:>9}{accepted:>10}{broken:>12}" for kind, refused, accepted, broken in rows]
        return "\n".join([*lines, *(f"  ! {example}" for example in self.examples)])


def check_log(tally: Tally, name: str, text: str, secrets: tuple[str, ...]) -> None:
    """Check that a log holds neither a traceback nor a secret, whatever was sent."""
    for word in ("Traceback (most recent call last)", "--- Logging error ---"):
        if word in text:
            at = text.index(word)
            tally.violate(f"log of the {name}", text[max(0, at - 300) : at + 1200])
    for secret in secrets:
        if secret in text:
            tally.violate(f"log of the {name}", "it holds a secret")
