"""Writes what the image installs, each file by its SHA-256, for the platforms that are named here.

requirements.txt is what every process needs, requirements-agent.txt what the agent of coding sessions needs beside it.
hash_requirements.py asks pip, for each platform, which wheels it would install under constraints.txt. It downloads
their metadata only. Run it after each change of constraints.txt or of the dependencies in pyproject.toml.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.13")  # the oldest that is supported, and the image's
MACHINES = ("x86_64", "aarch64")
GLIBC_MOST = 41  # 2.41, Debian 13: pip takes wheels of this and every earlier one
HEAD = """\
# Exact versions, and the hashes of their wheels for Linux on x86_64 and aarch64, Python 3.11 and 3.13.
# Made by scripts/hash_requirements.py from constraints.txt; do not edit. pip install --require-hashes -r NAME
"""

Wheels = dict[tuple[str, str], set[str]]  # (name, version) → SHA-256 of each file


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed, agent = project["dependencies"], project["optional-dependencies"]["agent"]
    wheels: Wheels = {}
    for python in PYTHONS:
        for machine in MACHINES:
            for package, digest in chosen([*needed, *agent], python, machine):
                wheels.setdefault(package, set()).add(digest)
    always = {package for package, _ in chosen(needed, PYTHONS[0], MACHINES[0])}
    write("requirements.txt", {package: wheels[package] for package in wheels if package in always})
    write("requirements-agent.txt", {package: wheels[package] for package in wheels if package not in always})


def write(name: str, wheels: Wheels) -> None:
    (ROOT / name).write_text(HEAD.replace("NAME", name) + "".join(lines(wheels)))


def chosen(wanted: list[str], python: str, machine: str) -> list[tuple[tuple[str, str], str]]:
    """What pip would install there: ((name, version), SHA-256)."""
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MOST, 4, -1)]
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report=-",
        "--only-binary=:all:", "--target=unused", f"--constraint={ROOT / 'constraints.txt'}",
        f"--python-version={python}", "--implementation=cp", *platforms, f"--platform=manylinux2014_{machine}", *wanted,
    ]  # fmt: skip
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return [
        (
            (item["metadata"]["name"].lower().replace("_", "-").replace(".", "-"), item["metadata"]["version"]),
            item["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for item in report["install"]
    ]


def lines(wheels: Wheels) -> list[str]:
    return [
        " \\\n    ".join([f"{name}=={version}", *(f"--hash=sha256:{digest}" for digest in sorted(digests))]) + "\n"
        for (name, version), digests in sorted(wheels.items())
    ]


if __name__ == "__main__":
    main()
