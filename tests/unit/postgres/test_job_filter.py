"""Filters: what is written, what is meant, and what cannot be."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.job import Status
from bridge.postgres.job_filter import CHOSEN_MOST, FilterError, JobFilter, parse_filter
from bridge.postgres.search_words import search_words

SESSION = UUID("11111111-2222-4333-8444-555555555555")
OTHER = UUID("21111111-2222-4333-8444-555555555555")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", {}),
        ("  ", {}),
        ("status:failed", {"status": Status.FAILED}),
        ("status:FAILED queue:reports", {"status": Status.FAILED, "queue": "reports"}),
        (f"session:{SESSION}", {"session": SESSION}),
        ("older:2h", {"older": timedelta(hours=2)}),
        ("older:90s attempt:2", {"older": timedelta(seconds=90), "attempt": 2}),
        ('error:"time out" blue car', {"error": "time out", "text": "blue car"}),
        ('"status:failed"', {"text": "status:failed"}),
        ('blue actor:x "red car"', {"actor": "x", "text": "blue red car"}),
        ('error:"a \\"quoted\\" word"', {"error": 'a "quoted" word'}),
        ("error:a:b", {"error": "a:b"}),
        (f"id:{SESSION}", {"id": (SESSION,)}),
        (f"status:failed id:{SESSION},{OTHER},{SESSION}", {"status": Status.FAILED, "id": (SESSION, OTHER)}),
    ],
)
def test_a_filter_means_what_is_written(written: str, meant: dict[str, Any]) -> None:
    assert parse_filter(written) == JobFilter(**meant)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("stat:failed", "stat: is no qualifier; there are status, queue, actor, session, error, older, attempt"),
        ("status:lost", "status: must be one of pending, processing, completed, failed, cancelled"),
        ("session:1", "session: must be a UUID"),
        ("older:2", "older: must be a number with s, m, h, d or w"),
        ("older:999999999w", "older: is too long ago"),
        ("older:60000w", "older: is too long ago"),
        ("fingerprint:boom", "fingerprint: must be eight characters 0-9 and a-f"),
        ("fingerprint:0a1b2c3d status:pending", "fingerprint: only failed jobs have one, not pending ones"),
        ("attempt:-1", "attempt: must be a number"),
        ("attempt:99999999999", "attempt: must be a number"),
        ("queue:a queue:b", "queue: occurs twice"),
        ("id:7", "id: must be UUIDs, with commas between them"),
        (f"id:{SESSION},", "id: must be UUIDs"),
        (f"id:{SESSION} queue:reports", "id: says which jobs; it goes together with status: only"),
        (f"id:{SESSION} blue", "it goes together with status: only"),
        ("id:" + ",".join(f"{number:032x}" for number in range(101)), "id: takes 100 jobs at most"),
        ("x" * 4001, "longer than 4000 characters"),
        ("a\x00b", "cannot store"),
        ("a\ud800b", "cannot store"),
    ],
)
def test_what_cannot_be_read_is_one_line(written: str, said: str) -> None:
    with pytest.raises(FilterError) as raised:
        parse_filter(written)

    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(str.strip).filter(bool)


@given(
    st.builds(
        JobFilter,
        status=st.none() | st.sampled_from(Status),
        queue=st.none() | texts,
        actor=st.none() | texts,
        session=st.none() | st.uuids(),
        error=st.none() | texts,
        older=st.none() | st.integers(0, 10**8).map(lambda seconds: timedelta(seconds=seconds)),
        attempt=st.none() | st.integers(0, 2**31 - 1),
        text=st.none() | texts.filter(search_words),
    )
)
def test_a_filter_that_is_written_is_read_back(meant: JobFilter) -> None:
    assert parse_filter(str(meant)) == meant


def test_as_many_chosen_jobs_as_possible_are_read_back() -> None:
    meant = JobFilter(status=Status.PROCESSING, id=tuple(UUID(int=number) for number in range(CHOSEN_MOST)))

    assert parse_filter(str(meant)) == meant
