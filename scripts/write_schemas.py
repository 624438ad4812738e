"""Writes schemas that are not files in their wheels: write_schemas.py STORE FOLDER. See install-deploy-schemas.sh."""

import json
import sys
from pathlib import Path
from typing import Any

import requests_cache  # type: ignore[import-not-found,unused-ignore]
from cloudcoil.models.keda.v1alpha1 import ScaledObject, TriggerAuthentication  # type: ignore[import-not-found,unused-ignore]
from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor  # type: ignore[import-not-found,unused-ignore]

STORED = ("kustomization", "pm2-ecosystem", "prometheus.rules")


def main(store: str, folder: Path) -> None:
    answers = {answer.url: answer for answer in requests_cache.CachedSession(store).cache.responses.values()}
    for name in STORED:
        schema = answers[f"https://json.schemastore.org/{name}.json"].json()
        (folder / f"{name}.json").write_text(json.dumps(schema))
    for model in (ScaledObject, TriggerAuthentication, ServiceMonitor):
        schema = strict(model.model_json_schema(by_alias=True))
        (folder / f"{model.__name__}.json").write_text(json.dumps(schema))


def strict(schema: Any) -> Any:
    """The schema, refusing names that it does not know: a mistyped one would be ignored by the cluster."""
    if isinstance(schema, dict):
        closed = {"additionalProperties": False} if "properties" in schema else {}
        return closed | {name: strict(part) for name, part in schema.items()}
    return [strict(part) for part in schema] if isinstance(schema, list) else schema


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
