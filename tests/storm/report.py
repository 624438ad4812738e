"""A storm in a few lines."""

from tests.storm.storm import Outcome

_SHOWN_MOST = 20  # of each kind of violation


def as_text(outcome: Outcome) -> str:
    strikes, verdict = outcome.strikes, outcome.verdict
    settled = "not in time" if outcome.settled_in is None else f"{outcome.settled_in:.0f} s after the last strike"
    points = ", ".join(f"{name} {times}" for name, times in sorted(strikes.kills_at_points.items())) or "none"
    outcomes = ", ".join(f"{name} {times}" for name, times in sorted(verdict.outcomes.items())) or "none"
    lines = [
        f"Seed {outcome.options.seed}, {outcome.seconds:.0f} s; all sessions ended: {settled}",
        f"Kills: {strikes.kills} of {outcome.options.kills} (at kill points: {points})",
        f"Zombies: {strikes.zombies} of {outcome.options.zombies}",
        f"Processes alive after a kill: {len(strikes.alive_afterwards)}",
        f"Sessions: {verdict.sessions}; commands: {verdict.commands}, told as of unknown outcome: {verdict.unknown}",
        f"Interrupted attempts: {verdict.interruptions} ({outcomes})",
        f"Requests to the model: {verdict.requests}, {verdict.extra_requests:.2f} extra for each interruption",
        *(f"{name}: {len(cases)}" for name, cases in verdict.violations.items()),
    ]
    broken = {**verdict.violations, "processes alive after a kill": strikes.alive_afterwards}
    lines += [f"  {name}: {case}" for name, cases in broken.items() for case in cases[:_SHOWN_MOST]]
    if not outcome.is_whole:
        lines.append("The storm was cut short: its time was over before all strikes had happened.")
    return "\n".join(lines)
