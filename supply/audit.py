"""Known vulnerabilities of the dependencies, by pip-audit: python -m supply.audit.

Exit codes: 0 none, 1 there are some, 2 nobody knows: their data cannot be had, or not for all packages.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from supply.dependencies import by_use

_PATIENCE_SECONDS = 300.0  # one request for each package; a network that swallows them must not block for ever

_NAMED = 3  # packages in the line that says what could not be checked: more of them would hide how many they are


def report(requirements: str) -> list[dict[str, Any]]:
    """What pip-audit says about each requirement. LookupError: why it says nothing."""
    if find_spec("pip_audit") is None:
        raise LookupError("pip-audit is not installed: make audit")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(requirements, "utf-8")
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(file), "--no-deps", "--disable-pip"]
        try:
            done = subprocess.run(
                [*command, "--format", "json", "--progress-spinner", "off"],
                capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise LookupError(f"no answer within {_PATIENCE_SECONDS:g} s") from None
    return parsed(done.stdout, done.stderr)


def parsed(output: str, errors: str) -> list[dict[str, Any]]:
    try:
        return list(json.loads(output)["dependencies"])
    except (ValueError, KeyError):
        raise LookupError((errors.strip().splitlines() or ["pip-audit said nothing"])[-1]) from None


def vulnerabilities(found: list[dict[str, Any]]) -> Iterator[str]:
    for package in found:
        for one in package.get("vulns", []):
            fixed = ", ".join(one["fix_versions"]) or "no version yet"
            yield f"{package['name']} {package['version']}: {one['id']}, mended in {fixed}"


def main() -> int:
    requirements = "".join(f"{name}=={one.version}\n" for name, (_use, one) in by_use().items())
    try:
        found = report(requirements)
    except LookupError as error:
        print(f"audit: the data about vulnerabilities cannot be had: {error}", file=sys.stderr)
        return 2
    return told(found)


def told(found: list[dict[str, Any]]) -> int:
    """Prints the verdict, and returns the exit code. A package that was skipped is not a package without fault."""
    wrong = list(vulnerabilities(found))
    skipped = [package["name"] for package in found if "skip_reason" in package]
    for line in wrong:
        print(line)
    if not wrong and not skipped:
        print(f"audit: {len(found)} packages, none with a known vulnerability")
    if skipped:
        names = ", ".join([*skipped[:_NAMED], *(["…"] if len(skipped) > _NAMED else [])])
        print(f"audit: no data about {len(skipped)} of {len(found)} packages: {names}", file=sys.stderr)
    return 1 if wrong else 2 if skipped else 0


if __name__ == "__main__":
    sys.exit(main())
