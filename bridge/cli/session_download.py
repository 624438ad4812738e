"""The command `sessions download`."""

import os
import sys
from contextlib import closing
from pathlib import Path
from uuid import UUID

import click

from bridge.cli.arguments import open_link
from bridge.errors import BridgeError
from bridge.postgres.bundles import PostgresBundles
from bridge.snapshots.download import Download


@click.command()
@click.argument("session_id", type=click.UUID)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; - for the standard output.")
def download(session_id: UUID, output: Path | None) -> None:
    """Write the files of a session as they were after its last turn, as a .tar.gz."""
    with closing(open_link()) as link, closing(Download(PostgresBundles(link.call), session_id)) as archive:
        file = output or Path(f"{archive.name}.tar.gz")
        if file == Path("-"):
            for piece in archive:
                sys.stdout.buffer.write(piece)
        else:
            _write(file, archive)
        if archive.problem:
            click.echo(archive.problem, err=True)


def _write(file: Path, archive: Download) -> None:
    """At once: nobody takes a part of it for the whole. Only this account may read it: it may hold secrets."""
    part = file.with_name(f"{file.name}.part")
    try:
        with open(part, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as target:
            size = sum(map(target.write, archive))
        part.replace(file)
    except OSError as error:
        raise BridgeError(f"{file} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{file}: {size:,} bytes")
