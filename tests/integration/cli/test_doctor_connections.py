"""Findings of `mobvibe doctor` about connections to Postgres."""

from bridge.cli.doctor import examine
from bridge.settings import Settings
from tests.support.limited_role import LimitedRole, as_limited_role


def test_the_doctor_compares_what_is_needed_with_what_is_free(settings: Settings, role: LimitedRole) -> None:
    def found() -> tuple[str, str, str]:
        finding = next(one for one in examine(as_limited_role(settings, role)) if one.check == "connections")
        return finding.state, finding.found, finding.fix

    role.limit(20)
    need = "a bridge, 1 worker process and a web process need up to 20"
    free = f"0 are open, 20 free (CONNECTION LIMIT of role {role.name}: 20)"
    assert found() == ("ok", f"{need}; {free}", "")
    role.limit(19)
    state, _, fix = found()
    assert (state, fix) == ("warn", "raise the limit, or let the processes open fewer: docs/reference/connections.md")
    role.limit(0)
    state, text, fix = found()
    assert (state, fix) == ("fail", "raise the limit, or let the processes open fewer: docs/reference/connections.md")
    assert "too many connections for role" in text
