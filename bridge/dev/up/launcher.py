"""The launcher behind `mobvibe up`: from the start of the stores to the end of the last process."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import click

from bridge.dev.embedded import EmbeddedStores
from bridge.dev.embedded.register import forget_process, remember_process
from bridge.dev.up.actors_package import check_actors_package
from bridge.dev.up.first_job import SAMPLE_ACTOR, announced_actors, how_to_send_one, send_sample
from bridge.dev.up.web_process import WebProcess
from bridge.errors import BridgeError, EmbeddedStoreError, PortTakenError
from bridge.postgres.link import Link
from bridge.postgres.migrations import migrate_up
from bridge.runtime.parent_watch import adopt_orphans, children_of, dies_with_parent
from bridge.runtime.signals import StopSignal
from bridge.settings import Settings
from bridge.settings.running_stores import (
    RunningStores,
    process_started,
    remove_running_stores,
    write_running_stores,
)
from bridge.web.ports import check_port
from bridge.web.tokens import make_token

DEVELOPER = UUID("00000000-0000-4000-8000-000000000001")
_USUAL = ("bridge", "worker", "web")
_TOKEN_LIFETIME = timedelta(days=7)  # a copied curl command works for some days; each start prints a new token
_READY_SECONDS = 60.0  # a start takes seconds, except for actors that import large packages
_CHECK_SECONDS = 0.2  # between looks whether all processes still run: a person sees no delay
_READY_CHECK_SECONDS = 0.05  # between looks while a person waits for the start
# For what honcho left behind, which had its grace before. Looked at often: the stores stop only after it.
_ORPHAN_SECONDS, _ORPHAN_CHECK_SECONDS = 2.0, 0.1
_PORTS_TRIED = 20  # more than there are projects beside each other on one machine
_STOP_SECONDS = 7.0  # honcho kills its processes 5 s after its signal, and then has to end itself


class StartFailedError(BridgeError):
    """A process of the Procfile ended, so that honcho stopped all of them."""


class Launcher:
    """Starts and stops everything. The methods are in the order in which they run."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._began = time.monotonic()
        self._folder = settings.mobvibe_dir
        self._stores = EmbeddedStores(self._folder)
        self._port = 0
        self._honcho: subprocess.Popen[bytes] | None = None

    def run(self, *, sample: bool) -> None:
        """Run everything until a stop signal. Raises BridgeError, in one line, when it cannot be started."""
        if self._settings.is_production:
            raise EmbeddedStoreError(
                f"mobvibe up is for development and NODE_ENV is {self._settings.node_env}. "
                "Set DATABASE_URL and REDIS_URL, run mobvibe migrate up, and start the processes of the Procfile."
            )
        adopt_orphans()
        stop = StopSignal()
        for name in self._stores.open_folder():  # first: until it succeeds there is nothing to stop
            click.echo(f"Ended a leftover of an earlier start: {name}", err=True)
        try:
            check_actors_package(self._settings.actors_module, self._procfile())
            running = self._start_stores()
            self._start_processes(running)
            web = WebProcess(self._settings.admin_port or self._port)
            if self._wait(web.is_up, stop, _READY_SECONDS):
                token = make_token(DEVELOPER, running.supabase_jwt_secret, _TOKEN_LIFETIME)
                actors = announced_actors(running.database_url)
                self._print_ready(running, actors, web.address, token)
                if sample and SAMPLE_ACTOR in actors:
                    wait = partial(self._wait, stop=stop, seconds=_READY_SECONDS)
                    send_sample(web, token, self._began, stop, wait)
            elif not stop.is_set():
                click.echo(
                    f"Not ready after {_READY_SECONDS:.0f} s: the lines above say why; mobvibe doctor may, too. "
                    "Still trying; Ctrl-C stops.",
                    err=True,
                )
            while not stop.wait(_CHECK_SECONDS):
                self._check_processes()
            click.echo("Stopping …", err=True)
        finally:
            self._stop()
        click.echo(f"Stopped. The data is kept in {self._folder}/", err=True)

    # Up.

    def _start_stores(self) -> RunningStores:
        self._port = self._choose_port()
        settings = self._settings
        database_url = settings.database_url.get_secret_value() if settings.database_url else None
        redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
        if database_url is None:
            self._timed("Postgres (embedded)", self._stores.postgres.start)
            database_url = self._stores.postgres.url()
        if redis_url is None:
            self._timed("Redis (embedded)", self._stores.redis.start)
            redis_url = self._stores.redis.url
        applied = migrate_up(database_url)
        click.echo(f"Schema: {len(applied)} migrations applied" if applied else "Schema: up to date", err=True)
        if self._stores.postgres.is_running():
            # All processes that used these stores have ended. So the jobs that a crash left running can be retried at
            # once, without waiting for their leases.
            link = Link(database_url, "up")
            link.call("stop_all_workers")
            link.close()
        running = RunningStores(
            launcher_pid=os.getpid(),
            launcher_started=str(process_started(os.getpid())),
            database_url=database_url,
            redis_url=redis_url,
            supabase_jwt_secret=self._jwt_secret(),
            health_check_port=self._port,
        )
        write_running_stores(self._folder, running)
        return running

    def _choose_port(self) -> int:
        host, wanted = self._settings.bind_host, self._settings.http_port
        if self._settings.health_check_port is not None:
            check_port(host, wanted)
            return wanted
        for port in range(wanted, wanted + _PORTS_TRIED):
            try:
                check_port(host, port)
            except PortTakenError:
                continue
            if port != wanted:
                click.echo(f"Port {wanted} is taken, using {port} (HEALTH_CHECK_PORT chooses another)", err=True)
            return port
        last = wanted + _PORTS_TRIED - 1
        raise PortTakenError(f"Ports {wanted} to {last} are all taken. Set HEALTH_CHECK_PORT to a free one.")

    def _jwt_secret(self) -> str:
        if self._settings.supabase_jwt_secret is not None:
            return self._settings.supabase_jwt_secret.get_secret_value()
        file = self._folder / "jwt.secret"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(48))
        return file.read_text().strip()

    def _start_processes(self, running: RunningStores) -> None:
        in_files = {f"{name}_FILE" for name in ("DATABASE_URL", "REDIS_URL", "SUPABASE_JWT_SECRET")}
        environment = {name: value for name, value in os.environ.items() if name not in in_files} | {
            "DATABASE_URL": running.database_url,
            "REDIS_URL": running.redis_url,
            "SUPABASE_JWT_SECRET": running.supabase_jwt_secret,
            "HEALTH_CHECK_PORT": str(running.health_check_port),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
        }
        if sys.stdout.isatty():
            environment.setdefault("FORCE_COLOR", "1")
        self._honcho = subprocess.Popen(
            [sys.executable, "-m", "honcho", "start", "--procfile", self._procfile()],
            env=environment,
            start_new_session=True,  # only we get Ctrl-C, for the stores must outlive the processes
            preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509 -- no other threads here
        )
        remember_process(self._folder, "honcho", self._honcho.pid, signal.SIGTERM)

    def _procfile(self) -> Path:
        """The project's Procfile. For a project without one, a file with our three processes."""
        ours = Path("Procfile")
        if ours.exists():
            return ours
        usual = self._folder / "Procfile"
        usual.write_text("".join(f"{name}: python -m bridge {name.replace('bridge', 'run')}\n" for name in _USUAL))
        return usual

    def _check_processes(self) -> None:
        if self._honcho is not None and self._honcho.poll() is not None:
            raise StartFailedError("A process of the Procfile ended, so all were stopped: the lines above say why.")

    # Ready.

    def _print_ready(self, running: RunningStores, actors: list[str], address: str, token: str) -> None:
        click.echo(
            f"""
  Ready after {time.monotonic() - self._began:.1f} s

  Dashboard   {address}/
  Health      {address}/health
  Postgres    {running.database_url}
  Redis       {running.redis_url}
  Data        {self._folder.resolve()}
  Token       {token}

{how_to_send_one(actors, address, token)}

  More workers, in a second terminal of this folder: dramatiq {self._settings.actors_module} -p 2 -t 4
  Ctrl-C stops everything; the data is kept.
"""
        )

    def _wait(self, condition: Callable[[], bool], stop: StopSignal, seconds: float) -> bool:
        """Wait for a condition. False when a stop signal comes first, or when it is not met in time."""
        deadline = time.monotonic() + seconds
        while not stop.is_set() and time.monotonic() < deadline:
            if condition():
                return True
            self._check_processes()
            stop.wait(_READY_CHECK_SECONDS)
        return False

    @staticmethod
    def _timed(what: str, start: Callable[[], None]) -> None:
        began = time.monotonic()
        start()
        click.echo(f"{what} ready in {time.monotonic() - began:.1f} s", err=True)

    # Down.

    def _stop(self) -> None:
        """Stop the processes first and the stores last: a worker needs Postgres to hand its jobs back."""
        if self._honcho is not None:
            self._honcho.send_signal(signal.SIGTERM)
            try:
                self._honcho.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._honcho.kill()
                self._honcho.wait()
            self._end_orphans()
            forget_process(self._folder, "honcho")
        remove_running_stores(self._folder)
        self._stores.stop()

    def _end_orphans(self) -> None:
        """End what honcho left behind: we have adopted it. The stores are our children too; leave them running."""
        stores = {server.pid for server in (self._stores.postgres, self._stores.redis) if server.is_running()}
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while orphans := set(children_of(os.getpid())) - stores:
            last = time.monotonic() > deadline
            for pid in orphans:
                try:
                    os.kill(pid, signal.SIGKILL if last else signal.SIGTERM)
                    os.waitpid(pid, os.WNOHANG)
                except (ProcessLookupError, ChildProcessError):
                    continue
            if last:
                return
            time.sleep(_ORPHAN_CHECK_SECONDS)
