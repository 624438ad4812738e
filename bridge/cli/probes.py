"""`mobvibe healthcheck`. It runs every few seconds in every container, so it imports only what each probe needs."""

import os
import time
from pathlib import Path

import click

from bridge.errors import BridgeError
from bridge.runtime import liveness_file

_PATHS = {"health": "/health", "live": "/livez", "web": "/livez", "ready": "/readyz"}
_ROLES = ("bridge", "worker")


class ProbeFailedError(BridgeError):
    """A process does not run, or does not work."""


@click.command()
@click.argument(
    "probes", metavar="[bridge|worker|web|live|ready|health]...", type=click.Choice([*_ROLES, *_PATHS]), nargs=-1
)
@click.option(
    "--max-age",
    "max_age_seconds",
    type=click.FloatRange(1, 86_400),
    default=30.0,
    show_default=True,
    help="Seconds without a sign of life, for bridge and worker: more where an actor's C code holds the GIL longer.",
)
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(0, 3600, min_open=True),
    default=4.0,
    show_default=True,
    help="Seconds that the web process may take to answer.",
)
def healthcheck(probes: tuple[str, ...], max_age_seconds: float, timeout_seconds: float) -> None:
    """Check processes of this machine; exit code 1 unless all work. For container probes.

    bridge, worker: do all their loops run? An unreachable store does not count. web (or live): does it answer?
    ready, the default: are its stores available, too?
    """
    failures = []
    for probe in probes or ("ready",):
        try:
            click.echo(_check(probe, max_age_seconds) if probe in _ROLES else _ask(_PATHS[probe], timeout_seconds))
        except ProbeFailedError as error:
            failures.append(str(error))
    if failures:
        raise SystemExit("\n".join(failures))


def _check(role: str, max_age_seconds: float) -> str:
    """Check the processes of a role by the files that they keep. Raises ProbeFailedError."""
    mobvibe_dir, database_url = _folder_and_database_url()
    folder, database = liveness_file.folder_of(mobvibe_dir), liveness_file.database_of(database_url)
    try:
        found = liveness_file.find(folder, role)
    except FileNotFoundError:
        found = []
    except OSError as error:
        raise ProbeFailedError(f"mobvibe: {folder} cannot be read: {error.strerror}") from None
    ours = [one for one in found if one.sign.database == database]
    if not ours:
        others = ", ".join(sorted({one.sign.database for one in found}))
        but = f"; what runs here works for {others}" if others else ""
        raise ProbeFailedError(f"mobvibe: no {role} runs here for {database}, by the files in {folder}{but}")
    for one in ours:
        if one.late_seconds > max_age_seconds or one.sign.stalled:
            raise ProbeFailedError(_stalled(one))
    return f"{role}: {', '.join(str(one.sign.pid) for one in ours)} alive"


def _stalled(one: liveness_file.Found) -> str:
    seconds = max(0.0, one.late_seconds)
    since = time.strftime("%H:%M:%S", time.localtime(time.time() - seconds))
    what = f" ({one.sign.stalled})" if one.sign.stalled else ""
    process = f"the {one.sign.role} process {one.sign.pid}{what}"
    return f"mobvibe: {process} has made no progress since {since}, for {seconds:.0f} s"


def _folder_and_database_url() -> tuple[Path, str]:
    """MOBVIBE_DIR and DATABASE_URL, from the environment if possible: all settings take five times a probe's time."""
    mobvibe_dir, database_url = (os.environ.get(name) for name in ("MOBVIBE_DIR", "DATABASE_URL"))
    if mobvibe_dir and database_url:
        return Path(mobvibe_dir), database_url
    from bridge.settings import load_settings

    settings = load_settings()
    return settings.mobvibe_dir, settings.postgres_dsn()


def _ask(path: str, timeout_seconds: float) -> str:
    """The answer of the web process. Raises ProbeFailedError."""
    import http.client
    import urllib.error
    import urllib.request

    from bridge.addresses import in_an_address
    from bridge.settings import load_settings

    settings = load_settings()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.bind_host, settings.bind_host)  # noqa: S104 -- compared only
    url = f"http://{in_an_address(host)}:{settings.http_port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=timeout_seconds) as answer:
            return _readable(answer.read())
    except urllib.error.HTTPError as error:
        raise ProbeFailedError(_readable(error.read())) from None
    except (OSError, ValueError, http.client.HTTPException) as error:  # no such host, a bad port, not HTTP
        raise ProbeFailedError(f"mobvibe: no answer at {url}: {getattr(error, 'reason', error)}") from None


def _readable(answer: bytes) -> str:
    """An answer, safe for a terminal: another program may listen on the port and answer anything."""
    from bridge.logs.terminal import visible_lines

    return "\n".join(visible_lines(answer.decode(errors="replace")))
