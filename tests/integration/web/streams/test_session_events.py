"""The stream of a session's events: each once, in order, for its owner alone.

Rows of docs/reference/security.md: S6, S19, S20.
"""

import time
from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest

from bridge.web.streams.session_events import STREAMS_OF_ONE
from tests.support.rows import Rows
from tests.support.waiting import eventually
from tests.support.web import EventStream, WebProcess, bearer


@pytest.fixture
def user() -> UUID:
    return uuid4()


@pytest.fixture
def session(rows: Rows, user: UUID) -> UUID:
    return rows.add_session(user_id=user)


@pytest.fixture
def streams(web: WebProcess) -> Iterator[list[EventStream]]:
    opened: list[EventStream] = []
    yield opened
    for one in opened:
        one.close()
    assert "Traceback" not in web.log


def add_events(rows: Rows, session: UUID, *numbers: int) -> None:
    rows.all(
        "INSERT INTO session_events (session_id, event_type, data)"
        " SELECT %s, 'terminal', jsonb_build_object('n', n) FROM unnest(%s::integer[]) AS n",
        [session, list(numbers)],
    )


def followed(streams: list[EventStream], web: WebProcess, session: UUID, head: bytes, query: str = "") -> EventStream:
    streams.append(EventStream(web, f"/sessions/{session}/events{query}", head))
    return streams[-1]


def numbers(stream: EventStream, count: int) -> list[int]:
    return [event["data"]["n"] for event in stream.events(count)]


def test_events_arrive_once_and_in_order_as_they_are_committed(
    web: WebProcess, rows: Rows, session: UUID, user: UUID, streams: list[EventStream]
) -> None:
    add_events(rows, session, 1, 2)
    first = followed(streams, web, session, bearer(user))
    assert (first.status, numbers(first, 2)) == (200, [1, 2])
    assert "text/event-stream" in first.head

    late = followed(streams, web, session, bearer(user))
    assert numbers(late, 2) == [1, 2]
    add_events(rows, session, 3)
    add_events(rows, rows.add_session(), 99)  # of another session
    add_events(rows, session, 4)

    assert numbers(first, 2) == [3, 4]
    assert numbers(late, 2) == [3, 4]


def test_a_client_that_comes_back_goes_on_behind_its_last_event(
    web: WebProcess, rows: Rows, session: UUID, user: UUID, streams: list[EventStream]
) -> None:
    add_events(rows, session, *range(1, 501))  # more than one reading
    first = followed(streams, web, session, bearer(user))
    seen = first.events(300)
    first.close()
    add_events(rows, session, 501)

    back = followed(streams, web, session, bearer(user) + f"Last-Event-ID: {seen[299]['last']}\r\n".encode())
    asked = followed(streams, web, session, bearer(user), f"?after={seen[299]['last']}")

    assert [event["data"]["n"] for event in seen[:300]] == list(range(1, 301))
    assert numbers(back, 201) == numbers(asked, 201) == list(range(301, 502))


def test_an_event_carries_what_the_session_status_shows(
    web: WebProcess, rows: Rows, session: UUID, user: UUID, streams: list[EventStream]
) -> None:
    add_events(rows, session, 7)

    (event,) = followed(streams, web, session, bearer(user)).events(1)

    assert {"seq", "id", "event_type", "data", "created_at"} < set(event)
    assert (event["event_type"], event["data"], event["seq"]) == ("terminal", {"n": 7}, int(event["last"]))


@pytest.mark.parametrize(
    ("head", "query", "status"),
    [
        (lambda _: b"", "", 401),
        (lambda _: b"", "?token=x&access_token=x", 401),
        (lambda _: b"Authorization: Bearer x\r\n", "", 401),
        (lambda _: bearer(), "", 404),  # another user
        (lambda user: bearer(user) + b"Last-Event-ID: x\r\n", "", 400),
        (lambda user: bearer(user) + b"Last-Event-ID: 99999999999999999999\r\n", "", 400),
        (bearer, "?after=-1", 400),
    ],
)  # fmt: skip
def test_who_may_not_follow_is_refused(
    closed_web: WebProcess, session: UUID, user: UUID, head: Callable[[UUID], bytes], query: str, status: int
) -> None:
    stream = EventStream(closed_web, f"/sessions/{session}/events{query}", head(user))
    stream.close()

    assert stream.status == status


def test_a_good_token_in_the_address_is_not_read(closed_web: WebProcess, session: UUID, user: UUID) -> None:
    token = bearer(user).decode().split()[-1]
    for name in ("token", "access_token", "apikey", "jwt", "authorization"):
        stream = EventStream(closed_web, f"/sessions/{session}/events?{name}={token}")
        stream.close()
        assert stream.status == 401, name
    assert token not in closed_web.log


def test_an_unknown_session_is_refused_as_anothers_is(closed_web: WebProcess, session: UUID) -> None:
    request = b"GET /sessions/%b/events HTTP/1.1\r\nHost: x\r\n" + bearer() + b"\r\n"

    assert closed_web.say(request % str(session).encode()) == closed_web.say(request % str(uuid4()).encode())
    assert closed_web.say(request % b"1")[0] == 400


def test_a_user_has_a_bounded_number_of_streams_until_one_is_closed(
    web: WebProcess, session: UUID, user: UUID, streams: list[EventStream]
) -> None:
    for _ in range(STREAMS_OF_ONE):
        assert followed(streams, web, session, bearer(user)).status == 200

    refused = followed(streams, web, session, bearer(user))
    assert refused.status == 429
    assert "retry-after" in refused.head.lower()

    streams[0].close()
    eventually(
        lambda: followed(streams, web, session, bearer(user)).status == 200, seconds=10, what="a stream that is opened"
    )


def test_a_stop_ends_the_streams_at_once(
    web: WebProcess, session: UUID, user: UUID, streams: list[EventStream]
) -> None:
    stream = followed(streams, web, session, bearer(user))
    began = time.monotonic()

    web.end()

    assert time.monotonic() - began < 5
    with pytest.raises(EOFError):
        stream.events(1)


def test_a_page_of_another_origin_may_ask_with_a_token(web: WebProcess, session: UUID) -> None:
    with web.connect() as connection:
        connection.sendall(f"OPTIONS /sessions/{session}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = connection.recv(65536).decode().lower()

    assert answer.startswith("http/1.1 204 ")
    assert "access-control-allow-origin: *" in answer
    assert "authorization" in answer
