"""A stand-in for `docker`, for tests: puts it into a folder, and says what goes wrong there."""

import json
import sys
from pathlib import Path

from tests.support import fake_docker_program
from tests.support.fake_docker_program import IMAGE, Json, halt, load

__all__ = ["IMAGE", "FakeDocker"]


class FakeDocker:
    """For tests: puts `docker` into a folder. `faults`: pairs of a subcommand and what goes wrong once.

    `reply lost`, `refused` and `slow`; or any text, which it says instead of doing anything.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder / "engine", folder / "programs"
        for one in (self.folder, self.programs):
            one.mkdir(parents=True)
        folder.chmod(0o755)
        self.host = f"fake://{self.folder}"
        (self.programs / "docker").write_text(
            f'#!/bin/sh\nexec {sys.executable} -I -S {fake_docker_program.__file__} "$@"\n'
        )
        (self.programs / "docker").chmod(0o755)

    def fail(self, *faults: tuple[str, str]) -> None:
        (self.folder / "faults.json").write_text(json.dumps(faults))

    @property
    def faults(self) -> list[tuple[str, str]]:
        return [tuple(fault) for fault in load(self.folder / "faults.json", [])]

    @property
    def containers(self) -> dict[str, Json]:
        return dict(load(self.folder / "containers.json", {}))

    @property
    def volumes(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("volume-*"))

    def close(self) -> None:
        for container in self.containers.values():
            halt(container)
