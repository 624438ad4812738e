"""The image: what it holds by its Dockerfile, and each of its packages by the hash of its file."""

import re
import shutil
from pathlib import Path

import pytest

from tests.support.deploy import ROOT, runs

DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = {
    re.findall(r"AS ([\w-]+)", stage)[0]: stage for stage in re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)[1:]
}
FINAL = ("bridge", "sessions")  # the last one is what a build makes that names none
LISTS = ("requirements.txt", "requirements-agent.txt")


def packages(name: str) -> dict[str, tuple[str, int]]:
    """(version, number of hashes) of each package of a list."""
    text = (ROOT / name).read_text()
    found = re.findall(r"^([a-z0-9-]+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.MULTILINE)
    assert len(found) == text.count("=="), "a line of another form"
    return {package: (version, hashes.count("--hash")) for package, version, hashes in found}


def test_it_is_built_in_stages_and_its_last_ones_get_only_the_environment() -> None:
    assert list(STAGES)[-2:] == list(FINAL)
    for stage in FINAL:
        assert re.findall(r"^COPY --from=(\S+) (\S+)", STAGES[stage], re.MULTILINE)[0][1] == "/venv"
        assert STAGES[stage].startswith("FROM bare ")
        assert re.search(r"^USER 10001$", STAGES[stage], re.MULTILINE), "it must not run as root"
    assert "FROM build" not in STAGES["bare"]
    assert set(re.findall(r"^FROM (\S+:\S+)", DOCKERFILE, re.MULTILINE)) == {"python:3.13-slim"}


@pytest.mark.parametrize("tool", ["gcc", "build-essential", "curl", "embedded", "pgserver", "valkey", "setuptools"])
def test_nothing_that_builds_or_stores_is_in_it(tool: str) -> None:
    assert tool not in re.sub(r"^ *#.*$", "", DOCKERFILE, flags=re.MULTILINE)
    assert tool not in "".join(re.sub(r"^#.*$", "", (ROOT / name).read_text(), flags=re.MULTILINE) for name in LISTS)


def test_neither_python_has_an_installer() -> None:
    assert "pip uninstall --yes" in STAGES["bare"]
    assert "ensurepip" in STAGES["bare"]
    assert "--without-pip" in (ROOT / "scripts/install-image.sh").read_text()
    assert not {"pip", "setuptools", "wheel"} & (packages(LISTS[0]).keys() | packages(LISTS[1]).keys())


def test_every_package_has_hashes_and_no_address() -> None:
    script = (ROOT / "scripts/install-image.sh").read_text()
    assert "--require-hashes" in script
    assert "--only-binary :all:" in script
    for name in LISTS:
        assert "://" not in (ROOT / name).read_text()
        assert all(count >= 1 for _, count in packages(name).values())


def test_the_lists_are_those_that_the_tests_ran_with() -> None:
    """Whoever changes constraints.txt runs scripts/hash_requirements.py."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    constrained = {line.split("==")[0].lower().replace("_", "-"): line.split("==")[1] for line in lines}
    listed = packages(LISTS[0]) | packages(LISTS[1])

    assert {package: version for package, (version, _) in listed.items()}.items() <= constrained.items()
    assert not packages(LISTS[0]).keys() & packages(LISTS[1]).keys()
    assert "anthropic" in packages(LISTS[1])
    assert {"dramatiq", "psycopg-binary", "uvicorn", "honcho"} <= packages(LISTS[0]).keys()


def test_code_that_is_compiled_is_listed_for_each_machine_and_python() -> None:
    for package in ("psycopg-binary", "pydantic-core", "markupsafe", "cffi"):
        assert packages(LISTS[0])[package][1] == 4, package


def test_it_is_stopped_and_probed_as_docker_does_it() -> None:
    assert "STOPSIGNAL SIGTERM" in STAGES["bare"]
    assert 'CMD ["honcho", "start"]' in STAGES["bare"], "a shell between would keep the signal"
    # Not a check of readiness: an unreachable store is no reason to end running jobs.
    probe = "HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3"
    assert f'{probe} CMD ["mobvibe", "healthcheck", "bridge", "worker", "web"]' in STAGES["bare"]
    assert runs(["mobvibe", "healthcheck", "bridge", "worker", "web"]) == "healthcheck"


def test_what_it_copies_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for name in source.split():
            assert (ROOT / name).exists(), name
            assert f"!{name}" in ignored, name


def test_it_names_its_version() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert f'org.opencontainers.image.version="{version[1]}"' in STAGES["bare"]


def test_its_scripts_can_be_run() -> None:
    for name in ("scripts/install-image.sh", "scripts/image-size.sh"):
        assert shutil.which(Path(ROOT / name)) is not None, name
