"""The commands `doctor` and `config`: find what is wrong, and show the settings."""

import json

import click

from bridge.logs.terminal import visible
from bridge.settings import load_settings
from bridge.settings.shown import origins, shown_settings

_LABEL = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


@click.command()
@click.option("--database", is_flag=True, help="Show what `mobvibe migrate up` would change, and what would stop it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def doctor(*, database: bool, as_json: bool) -> None:
    """Check both stores, the schema, LISTEN, the workers and the clocks, and name the fix for what is wrong.

    Exit code 1 when something failed. Changes nothing.
    """
    from bridge.cli.doctor import examine, preview_migration

    findings = preview_migration(load_settings()) if database else examine(load_settings())
    if as_json:
        click.echo(json.dumps([{"check": f.check, "state": f.state, "found": f.found, "fix": f.fix} for f in findings]))
    else:
        for finding in findings:
            label, colour = _LABEL[finding.state]
            click.echo(f"{click.style(label, fg=colour)}  {finding.check:<18} {visible(finding.found)}")
            if finding.fix:
                click.echo(f"      {'':<18} → {visible(finding.fix)}")
    if any(finding.state == "fail" for finding in findings):
        raise SystemExit(1)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def config(*, as_json: bool) -> None:
    """Show the settings in effect, without their secrets."""
    settings = load_settings()
    shown, come_from = shown_settings(settings), origins(settings)
    if as_json:
        click.echo(json.dumps(shown))
    else:
        for name, value in shown.items():
            from_file = f"  (from {name}_FILE)" if come_from.get(name, "").endswith("_FILE") else ""
            click.echo(f"{name:<28}{'-' if value is None else value}{from_file}")
