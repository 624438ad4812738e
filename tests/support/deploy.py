"""The files in deploy/ as their programs read them, and the schemas of those programs."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Command, Context, Group
from jsonschema import Draft7Validator
from jsonschema.validators import validator_for
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from bridge.cli.command_line import cli
from bridge.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SCHEMAS = Path(sys.prefix) / "schemas"
STOP_MARGIN_MS = 8000  # what the processes take to stop beyond SHUTDOWN_TIMEOUT_MS
ROLES = ("bridge", "worker", "web")
_CUSTOM = {"ScaledObject", "TriggerAuthentication", "ServiceMonitor"}


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def need(what: str, *, present: bool) -> None:
    """Skip the test, or fail it where DEPLOY_TOOLS=required, unless `what` is here."""
    if not present:
        (pytest.fail if os.environ.get("DEPLOY_TOOLS") == "required" else pytest.skip)(f"no {what} here")


def built(folder: Path) -> list[dict[str, Any]]:
    """What kubectl makes of a kustomization."""
    need("kubectl", present=shutil.which("kubectl") is not None)
    made = subprocess.run(["kubectl", "kustomize", folder], check=True, capture_output=True, text=True, timeout=60)
    return [document for document in yaml.safe_load_all(made.stdout) if document]


def problems(value: Any, schema: str) -> list[str]:
    """What a schema of SCHEMAS says against a value."""
    need("schemas: scripts/install-deploy-schemas.sh .venv", present=(SCHEMAS / "done").exists())
    document = json.loads((SCHEMAS / schema).read_text())
    validator = validator_for(document, default=Draft7Validator)(document, registry=_registry())
    return [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in validator.iter_errors(value)
    ]


def problems_of_object(value: dict[str, Any]) -> list[str]:
    """What Kubernetes, or the operator whose object it is, would say against an object."""
    group, _, version = value["apiVersion"].rpartition("/")
    if value["kind"] in _CUSTOM:
        return problems(value, f"{value['kind']}.json")
    parts = [value["kind"], *([group.split(".")[0]] if group else []), version]
    return problems(value, f"kubernetes/{'-'.join(parts).lower()}.json")


@cache
def _registry() -> Registry[Any]:
    folder = SCHEMAS / "kubernetes"
    definitions = json.loads((folder / "_definitions.json").read_text())
    resource: tuple[str, Resource[Any]] = ("_definitions.json", Resource.from_contents(definitions, DRAFT7))
    return Registry().with_resources([resource])


def runs(command: list[str] | str) -> str:
    """The command of ours that an argument list runs, such as `migrate up`. Fails for one that does not parse."""
    words = shlex.split(command) if isinstance(command, str) else list(command)
    if "mobvibe" not in Path(words[0]).name:
        assert words[1:3] == ["-m", "bridge"], words
        words = words[2:]
    name: list[str] = []
    found: Command = cli
    words = words[1:]
    while isinstance(found, Group):
        name.append(words[0])
        inner = found.get_command(Context(found), words[0])
        assert inner is not None, f"there is no command {words[0]}"
        found, words = inner, words[1:]
    found.parse_args(Context(found), words)
    return " ".join(name)


def unknown_settings(names: set[str]) -> set[str]:
    return {name for name in names if name.lower() not in Settings.model_fields} - {"APP_ENV"}


def milliseconds(duration: Any) -> int:
    """Of `45s`, `2m`, or a number of seconds."""
    text = str(duration)
    units = {"s": 1000, "m": 60_000}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text) * 1000
