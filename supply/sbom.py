"""The software bill of materials of what runs in production, as CycloneDX: python -m supply.sbom FILE."""

import json
import subprocess
import sys
from collections.abc import Set as AbstractSet
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from supply.dependencies import PROJECT, dependencies

ROOT = Path(__file__).parents[1]
SHIPPED = ("agent",)  # the image has what coding sessions need as well


def of_environment() -> dict[str, Any]:
    """Everything that is installed here, tools of development as well."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", "pyproject.toml"]
    done = subprocess.run(
        [*command, "--output-reproducible", "--of", "JSON", sys.executable],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def restricted(bom: dict[str, Any], names: AbstractSet[str]) -> dict[str, Any]:
    """The same for these packages alone."""
    components = [one for one in bom["components"] if one["name"].lower().replace("_", "-").replace(".", "-") in names]
    kept = {one["bom-ref"] for one in components} | {bom["metadata"]["component"]["bom-ref"]}
    graph = [
        one | {"dependsOn": [ref for ref in one.get("dependsOn", []) if ref in kept]}
        for one in bom["dependencies"]
        if one["ref"] in kept
    ]
    return bom | {"components": components, "dependencies": graph}


def main() -> int:
    if find_spec("cyclonedx_py") is None:
        print("sbom: cyclonedx-bom is not installed: make sbom", file=sys.stderr)
        return 2
    target = Path(sys.argv[1])
    bom = restricted(of_environment(), dependencies(SHIPPED).keys() - {PROJECT})
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(bom, indent=2) + "\n", "utf-8")
    print(f"{target}: {len(bom['components'])} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
