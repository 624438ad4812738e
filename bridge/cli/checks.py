"""Finding out what is wrong, and what is set."""

import http.client
import json
import urllib.error
import urllib.request

import click

from bridge.addresses import in_an_address, mask_address
from bridge.settings import Settings, load_settings
from bridge.terminal import visible, visible_lines

_MARK = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


@click.command()
@click.option("--database", is_flag=True, help="Tell beforehand what `mobvibe migrate up` would meet and change.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def doctor(*, database: bool, as_json: bool) -> None:
    """Check both stores, the schema, LISTEN, the workers and the clocks, and name the fix for what is wrong.

    Exit code 1 when something failed. Changes nothing.
    """
    from bridge.doctor import examine, look_ahead

    findings = look_ahead(load_settings()) if database else examine(load_settings())
    if as_json:
        click.echo(json.dumps([{"check": f.check, "state": f.state, "found": f.found, "fix": f.fix} for f in findings]))
    else:
        for finding in findings:
            mark, colour = _MARK[finding.state]
            click.echo(f"{click.style(mark, fg=colour)}  {finding.check:<18} {visible(finding.found)}")
            if finding.fix:
                click.echo(f"      {'':<18} → {visible(finding.fix)}")
    if any(finding.state == "fail" for finding in findings):
        raise SystemExit(1)


@click.command()
@click.argument("probe", type=click.Choice(["health", "live", "ready"]), default="ready")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(0, 3600, min_open=True),
    default=4.0,
    show_default=True,
    help="Seconds.",
)
def healthcheck(probe: str, timeout_seconds: float) -> None:
    """Ask the web process of this machine how it is; exit code 1 unless it is well. For container probes."""
    settings = load_settings()
    path = {"health": "/health", "live": "/livez", "ready": "/readyz"}[probe]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.bind_host, settings.bind_host)  # noqa: S104 -- compared only
    url = f"http://{in_an_address(host)}:{settings.http_port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=timeout_seconds) as answer:
            _echo_answer(answer.read())
    except urllib.error.HTTPError as error:
        _echo_answer(error.read(), err=True)
        raise SystemExit(1) from None
    except (OSError, ValueError, http.client.HTTPException) as error:  # no such host, no number, no HTTP
        click.echo(f"mobvibe: nobody answers at {url}: {getattr(error, 'reason', error)}", err=True)
        raise SystemExit(1) from None


def _echo_answer(answer: bytes, *, err: bool = False) -> None:
    """Whoever listens there may have said anything."""
    click.echo("\n".join(visible_lines(answer.decode(errors="replace"))), err=err)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def config(*, as_json: bool) -> None:
    """Show the settings in effect, without their secrets."""
    shown = _shown(load_settings())
    if as_json:
        click.echo(json.dumps(shown))
    else:
        for name, value in shown.items():
            click.echo(f"{name:<28}{'-' if value is None else value}")


def _shown(settings: Settings) -> dict[str, str | int | None]:
    shown: dict[str, str | int | None] = {}
    for name, value in settings:
        secret = value.get_secret_value() if hasattr(value, "get_secret_value") else None
        if name in ("database_url", "redis_url"):
            shown[name.upper()] = mask_address(secret) if secret else None
        elif name != "honcho_process_name":
            shown[name.upper()] = "***" if secret else value if isinstance(value, int | None) else str(value)
    return shown | {"effective HTTP port": settings.http_port}
