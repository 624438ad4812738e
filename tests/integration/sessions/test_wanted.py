"""Which sandboxes are this database's, and which sessions may still want theirs."""

from uuid import uuid4

from bridge.sessions import database_mark, wanted_sandboxes
from tests.support.rows import Rows
from tests.support.turns import TurnSteps


def test_a_session_wants_its_sandbox_until_it_is_over_and_its_files_are_kept(turns: TurnSteps, rows: Rows) -> None:
    fresh, working, over, unsaved, long_over = (turns.add_session() for _ in range(5))
    rows.add_job(session_id=working)
    rows.all(
        "UPDATE coding_sessions SET expires_at = now() - interval '1 minute' WHERE id = ANY (%s)",
        [[over, unsaved]],
    )
    rows.all("UPDATE coding_sessions SET expires_at = now() - interval '25 hours' WHERE id = %s", [long_over])
    rows.all(
        """INSERT INTO session_bundles (session_id, number, commit, data, job_id, fence)
           VALUES (%s, 1, 'c', 'x', gen_random_uuid(), 1)""",
        [over],
    )
    deleted = uuid4()

    wanted = wanted_sandboxes([fresh, working, over, unsaved, long_over, deleted])

    assert wanted.known == {fresh, working, over, unsaved, long_over}
    assert wanted.working == {working}
    assert wanted.kept == {fresh, working, unsaved}


def test_sandboxes_carry_the_id_and_the_name_of_the_database(turns: TurnSteps, rows: Rows) -> None:
    assert database_mark() == rows.value("SELECT mobvibe_database_id() || ' ' || current_database()")
