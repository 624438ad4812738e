"""The page of the command line, from its commands as click knows them."""

import inspect
from collections.abc import Iterator

import click

from bridge.cli.command_line import cli
from documentation.markdown import code, heading, table

INTRO = """
Data goes to standard output, messages to standard error. Every command has `--help`.

## Exit codes

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | failed, or a setting is wrong |
| 2 | bad usage, or the actors package cannot be imported |
| 3 | a store is unreachable |
| 4 | the schema is missing, too old or too new, or the role lacks rights |
"""


def page() -> str:
    root = click.Context(cli, info_name="mobvibe")
    return "\n".join([heading("Commands", "`bridge/cli`"), INTRO.lstrip(), *_command(root)]).rstrip() + "\n"


def _command(context: click.Context) -> Iterator[str]:
    """The section of a command, and those of the commands below it."""
    command = context.command
    yield f"## {context.command_path}\n"
    yield f"```text\n{' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n```\n"
    if command.help:
        yield _help(command.help)
    if rows := [_row(parameter, context) for parameter in command.params]:
        yield table(["argument or option", "default", "meaning"], rows)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _command(click.Context(below, info_name=name, parent=context))


def _help(text: str) -> str:
    """The words of a help; its parts that click leaves as they are become blocks of code."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(f"```text\n{p[2:]}\n```" if p.startswith("\b\n") else p for p in paragraphs) + "\n"


def _row(parameter: click.Parameter, context: click.Context) -> list[str]:
    if isinstance(parameter, click.Option):
        record = parameter.get_help_record(context)
        assert record is not None or parameter.hidden
        names = record[0] if record else ", ".join(parameter.opts)
        return [code(names), code(_default(parameter, context)), parameter.help or ""]
    return [code(parameter.make_metavar(context)), "", "required" if parameter.required else ""]


def _default(option: click.Option, context: click.Context) -> str:
    value = option.get_default(context, call=False)
    chosen = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value) if chosen and value != "" else ""
