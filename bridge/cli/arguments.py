"""What the commands about jobs and queues have in common: their arguments, who calls them, and the link to Postgres."""

import getpass
from typing import Any

import click

from bridge.errors import BridgeError, PayloadError
from bridge.postgres.json_text import parse_object
from bridge.postgres.link import Link
from bridge.settings import load_settings


class _Text(click.types.StringParamType):
    """An argument that Postgres can store. Python passes a byte that is not UTF-8 as a lone surrogate."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            str(value).encode()
        except UnicodeEncodeError:
            self.fail("is not UTF-8 text", param, ctx)
        return str(value)


TEXT = _Text()


class NoSuchJobError(BridgeError):
    """No job has this id."""


def payload_of(text: str) -> dict[str, Any]:
    """The payload that the option `--payload` gives."""
    try:
        return parse_object(text)
    except PayloadError as error:
        raise click.BadParameter(str(error), param_hint="--payload") from None


def open_link() -> Link:
    return Link(load_settings().postgres_dsn(), "cli")


def operator() -> str:
    """Who acts, for the audit trail."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a password file
        return "mobvibe"
