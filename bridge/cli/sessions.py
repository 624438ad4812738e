"""The commands `sessions …`: what the apps' users do with their coding sessions, for operators."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import click

from bridge.cli.arguments import TEXT, open_link, operator
from bridge.cli.output import echo_field, echo_json, json_option
from bridge.cli.session_download import download
from bridge.postgres import session_requests
from bridge.postgres.enqueue import enqueue
from bridge.postgres.link import Link
from bridge.postgres.session_requests import Accepted, NoSuchSessionError
from bridge.snapshots.origin import Origin, OriginError, read_origin

_ACTOR = "run_coding_session"
_EVENTS_AT_ONCE = 500  # rows of one look: as a stream of the web process
_LOOK_SECONDS = 0.3  # a person who watches does not notice it, and it is no load
_OVER = ("completed", "failed", "paused", "expired")

_watch_option = click.option("--watch", is_flag=True, help="Then show its events until it rests.")
_session_argument = click.argument("session_id", type=click.UUID)


@click.group()
def sessions() -> None:
    """Start, follow, answer and cancel coding sessions; download their files."""


sessions.add_command(download)


@sessions.command("start")
@click.argument("prompt", type=TEXT)
@click.option("--project", type=click.UUID, help="The project it belongs to.")
@click.option("--user", type=click.UUID, help="Whose session it is: who sees it, and whose budget pays for it.")
@click.option("--repository", type=TEXT, help="The https:// address of a Git repository to start from.")
@click.option("--branch", type=TEXT, help="Its branch, if it is not the default one.")
@_watch_option
def start(
    prompt: str,
    project: UUID | None,
    user: UUID | None,
    repository: str | None,
    branch: str | None,
    *,
    watch: bool,
) -> None:
    """Start a session and print its id."""
    origin = _origin(repository, branch)
    link = open_link()
    with link.transaction() as connection:
        given = {"user": user, "project": project, "prompt": prompt}
        session_id: UUID = link.call("create_session", given)[0]["id"]
        enqueue(connection, _ACTOR, origin.payload if origin else None, session_id=session_id, prompt=prompt)
    click.echo(session_id)
    if watch:
        _watch(link, session_id, 0)


def _origin(repository: str | None, branch: str | None) -> Origin | None:
    if repository is None:
        if branch is not None:
            raise click.UsageError("--branch needs --repository")
        return None
    try:
        return read_origin({"url": repository} | ({} if branch is None else {"branch": branch}))
    except OriginError as error:
        raise click.BadParameter(str(error), param_hint="--repository") from None


@sessions.command("show")
@_session_argument
@json_option
def show(session_id: UUID, *, as_json: bool) -> None:
    """Show how a session stands, its open question and what it has cost."""
    link = open_link()
    shown = _session(link, session_id)
    if as_json:
        echo_json(shown)
        return
    for name, value in shown.items():
        if value is not None:
            echo_field(name, value)


@sessions.command("watch")
@_session_argument
@click.option("--after", type=click.IntRange(0, 2**63 - 1), default=0, help="Only events behind this number.")
def watch_session(session_id: UUID, after: int) -> None:
    """Show the events of a session as they are stored, until it rests: it has ended, expired or asked a question."""
    link = open_link()
    _session(link, session_id)
    _watch(link, session_id, after)


@sessions.command("send")
@_session_argument
@click.argument("prompt", type=TEXT)
@_watch_option
def send(session_id: UUID, prompt: str, *, watch: bool) -> None:
    """Send a prompt: to the turn that is under way, or as a new turn. It answers a question that is open."""
    link = open_link()
    sending = partial(session_requests.send_prompt, link.call, session_id, None, prompt)
    _accept(link, session_id, sending, watch=watch)


@sessions.command("answer")
@_session_argument
@click.argument("answer", type=TEXT)
@_watch_option
def answer_question(session_id: UUID, answer: str, *, watch: bool) -> None:
    """Answer the open question of a session."""
    link = open_link()
    answering = partial(session_requests.answer_question, link.call, session_id, None, None, answer)
    _accept(link, session_id, answering, watch=watch)


@sessions.command("continue")
@_session_argument
@_watch_option
def continue_session(session_id: UUID, *, watch: bool) -> None:
    """Go on where the last turn stopped: after a budget was used up, a failure or a cancel."""
    link = open_link()
    going_on = partial(session_requests.continue_session, link.call, session_id, None)
    _accept(link, session_id, going_on, watch=watch)


@sessions.command("cancel")
@_session_argument
def cancel(session_id: UUID) -> None:
    """Stop all that a session does."""
    cancelled = session_requests.cancel_session(open_link().call, session_id, None, operator())
    click.echo(f"{session_id}: {cancelled} jobs cancelled" if cancelled else f"{session_id} had nothing to do")


def _accept(link: Link, session_id: UUID, ask: Callable[[], Accepted], *, watch: bool) -> None:
    seen = _last_number(link, session_id)
    accepted = ask()
    click.echo(accepted.job_id or f"{session_id} is at work and takes it")
    if watch:
        _watch(link, session_id, seen)


def _session(link: Link, session_id: UUID) -> dict[str, Any]:
    """Raises NoSuchSessionError."""
    rows = link.call("any_session_status", {"session": session_id})
    if not rows:
        raise NoSuchSessionError(f"There is no session {session_id}")
    turn = session_requests.session_turn(link.call, session_id, None)
    used = session_requests.session_usage(link.call, session_id, None)
    return rows[0] | turn | used


def _last_number(link: Link, session_id: UUID) -> int:
    rows = link.call("last_event_number", {"session": session_id})
    return int(rows[0]["last_seq"]) if rows else 0


def _watch(link: Link, session_id: UUID, seen: int) -> None:
    while True:
        rests = _rests(link, session_id)  # before the look: what a turn stored until its end is shown
        asked = {"sessions": [session_id], "afters": [seen], "limit": _EVENTS_AT_ONCE}
        events = link.call("follow_sessions", asked)
        for event in events:
            echo_field(f"{event['created_at']:%H:%M:%S} {event['event_type']}", event["data"])
            seen = event["seq"]
        if rests and not events:
            return
        if not events:
            time.sleep(_LOOK_SECONDS)


def _rests(link: Link, session_id: UUID) -> bool:
    rows = link.call("any_session_status", {"session": session_id})
    return not rows or (rows[0]["status"] in _OVER and not rows[0]["open_jobs"])
