"""The command `support-bundle`."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bridge.cli.finding import STATEMENT_TIMEOUT_MS
from bridge.errors import BridgeError
from bridge.logs.terminal import visible
from bridge.postgres.link import Link
from bridge.settings import Settings, load_settings
from bridge.support.bundle import bundle_name, make_bundle


class NotWrittenError(BridgeError):
    """The file cannot be written."""


@click.command("support-bundle")
@click.option("--output", type=click.Path(path_type=Path), help="The file to write; by default one in this folder.")
def support_bundle(output: Path | None) -> None:
    """Write a zip for who helps you: versions, settings, the doctor's findings, queues, workers, kinds of errors.

    It has no secrets, prompts, payloads, results or texts of errors. Look into it before you send it.
    """
    settings = load_settings()
    path = output or Path(bundle_name())
    link = Link(settings.postgres_dsn(), "doctor", statement_timeout_ms=STATEMENT_TIMEOUT_MS)
    try:
        bundle = make_bundle(settings, link.call, lambda: _findings(settings))
    finally:
        link.close()
    _write(path, bundle)
    click.echo(path)


def _findings(settings: Settings) -> Iterator[dict[str, Any]]:
    from bridge.cli.doctor import examine

    return map(asdict, examine(settings))


def _write(path: Path, bundle: bytes) -> None:
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(bundle)
    except OSError as error:
        raise NotWrittenError(
            visible(f"Cannot write {path}: {error.strerror}. Give another one: --output FILE")
        ) from None
