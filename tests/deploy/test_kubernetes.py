"""deploy/kubernetes: objects that Kubernetes accepts, in an order that holds, and with our settings and commands."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.deploy import (
    DEPLOY,
    ROLES,
    ROOT,
    STOP_MARGIN_MS,
    built,
    documents,
    problems,
    problems_of_object,
    runs,
    unknown_settings,
)  # fmt: skip

KUBERNETES = DEPLOY / "kubernetes"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
VERBS = {"bridge": "run", "worker": "worker", "web": "web"}
KUSTOMIZATIONS = sorted(KUBERNETES.rglob("kustomization.yaml"))
OBJECTS = [path for path in sorted(KUBERNETES.rglob("*.yaml")) if path not in KUSTOMIZATIONS]


def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str], Any]:
    return {(one["kind"], re.sub(r"^mobvibe-?", "", one["metadata"]["name"])): one for one in objects}


BASE = by_name([one for path in OBJECTS if path.parent.name == "base" for one in documents(path)])
SETTINGS = dict(
    line.split("=", 1)
    for line in documents(KUBERNETES / "base/kustomization.yaml")[0]["configMapGenerator"][0]["literals"]
)


def pods(objects: dict[tuple[str, str], Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for (kind, name), one in objects.items():
        if kind in ("Deployment", "Job"):
            yield name, one["spec"]["template"]["spec"]


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: str(path.relative_to(KUBERNETES)))
def test_each_object_is_one_that_kubernetes_accepts(path: Path) -> None:
    assert [problem for one in documents(path) for problem in problems_of_object(one)] == []


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: str(path.relative_to(KUBERNETES)))
def test_each_kustomization_is_valid_and_names_files_that_are_there(path: Path) -> None:
    [kustomization] = documents(path)

    if kustomization["kind"] == "Kustomization":  # the schema knows no components
        assert problems(kustomization, "kustomization.json") == []
    for name in [*kustomization.get("resources", []), *kustomization.get("components", [])]:
        assert (path.parent / name).exists(), name
    beside = {one.name for one in path.parent.glob("*.yaml")} - {path.name}
    assert beside == {name for name in kustomization.get("resources", []) if name.endswith(".yaml")}


@pytest.mark.parametrize("folder", ["base", "overlays/production"])
def test_kubectl_makes_valid_objects_of_it(folder: str) -> None:
    objects = built(KUBERNETES / folder)

    assert [problem for one in objects for problem in problems_of_object(one)] == []
    for one in objects:
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "mobvibe"


def test_an_overlay_has_its_image_everywhere_and_a_migration_of_its_version() -> None:
    objects = by_name(built(KUBERNETES / "overlays/production"))
    images = {
        container["image"]
        for _, pod in pods(objects)
        for container in [*pod["containers"], *pod.get("initContainers", [])]
    }

    assert len(images) == 1
    tag = images.pop().rpartition(":")[2]
    assert ("Job", "migrate-" + tag.replace(".", "-")) in objects
    assert "replicas" not in objects["Deployment", "worker"]["spec"], "KEDA and the manifest would fight over it"
    [settings] = [one["data"] for (kind, _), one in objects.items() if kind == "ConfigMap"]
    assert settings == SETTINGS | {"ACTORS_MODULE": "jobs"}


def test_the_migration_has_the_name_of_the_version_that_it_brings() -> None:
    [image] = documents(KUBERNETES / "base/kustomization.yaml")[0]["images"]

    assert image == {"name": "mobvibe-bridge", "newTag": VERSION}
    assert ("Job", "migrate-" + VERSION.replace(".", "-")) in BASE


@pytest.mark.parametrize("role", ROLES)
def test_no_process_starts_before_the_schema_is_there(role: str) -> None:
    pod = BASE["Deployment", role]["spec"]["template"]["spec"]
    [first], [process] = pod["initContainers"], pod["containers"]

    assert runs(first["command"]) == "migrate wait"
    assert first["envFrom"] == process["envFrom"]
    assert runs(process["command"]) == VERBS[role]
    assert BASE["Deployment", role]["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_the_migration_migrates() -> None:
    pod = BASE["Job", "migrate-" + VERSION.replace(".", "-")]["spec"]["template"]["spec"]

    assert [runs(container["command"]) for container in pod["containers"]] == ["migrate up"]


def test_every_container_is_limited_and_can_change_nothing() -> None:
    found = list(pods(BASE))
    assert len(found) == 4
    for name, pod in found:
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["automountServiceAccountToken"] is False
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["image"] == "mobvibe-bridge"
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            assert "memory" in container["resources"]["limits"]
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]


@pytest.mark.parametrize("role", ["bridge", "worker"])
def test_a_process_that_hangs_is_restarted_and_one_that_waits_for_a_store_is_not(role: str) -> None:
    [container] = BASE["Deployment", role]["spec"]["template"]["spec"]["containers"]
    for kind in ("livenessProbe", "readinessProbe"):
        assert container[kind]["exec"]["command"] == ["mobvibe", "healthcheck", role]
        assert runs(container[kind]["exec"]["command"]) == "healthcheck"
        assert container[kind]["timeoutSeconds"] == 5, "starting Python takes a second on a busy node"


def test_web_is_probed_over_http() -> None:
    [container] = BASE["Deployment", "web"]["spec"]["template"]["spec"]["containers"]

    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http": 8080, "admin": int(SETTINGS["ADMIN_PORT"]),
    }  # fmt: skip


def test_workers_have_time_to_stop() -> None:
    worker = BASE["Deployment", "worker"]["spec"]["template"]["spec"]

    assert worker["terminationGracePeriodSeconds"] * 1000 > int(SETTINGS["SHUTDOWN_TIMEOUT_MS"]) + STOP_MARGIN_MS


def test_each_setting_exists() -> None:
    assert unknown_settings(set(SETTINGS)) == set()


def test_selectors_meet_the_pods_that_they_are_meant_for() -> None:
    labels = {role: BASE["Deployment", role]["spec"]["template"]["metadata"]["labels"] for role in ROLES}
    for role in ROLES:
        spec = BASE["Deployment", role]["spec"]
        assert spec["selector"]["matchLabels"] == labels[role]
        assert BASE["PodDisruptionBudget", role]["spec"]["selector"]["matchLabels"] == labels[role]
        for spread in spec["template"]["spec"]["topologySpreadConstraints"]:
            assert spread["labelSelector"]["matchLabels"] == labels[role]
    for service in ("web", "admin"):
        assert BASE["Service", service]["spec"]["selector"] == labels["web"]
    [monitor] = documents(KUBERNETES / "monitoring/service-monitor.yaml")
    assert monitor["spec"]["selector"]["matchLabels"] == BASE["Service", "admin"]["metadata"]["labels"]
    [port] = BASE["Service", "admin"]["spec"]["ports"]
    assert [endpoint["port"] for endpoint in monitor["spec"]["endpoints"]] == [port["name"]]


def test_the_pages_are_reached_from_chosen_namespaces_only() -> None:
    policy = BASE["NetworkPolicy", "web"]["spec"]["ingress"]
    assert [(rule["ports"][0]["port"], "from" in rule) for rule in policy] == [("http", False), ("admin", True)]
    assert BASE["NetworkPolicy", ""]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert BASE["NetworkPolicy", ""]["spec"]["ingress"] == []


def test_keda_counts_the_jobs_that_run_or_could_run_now(dsn: str) -> None:
    scaled = by_name(documents(KUBERNETES / "keda/scaled-object.yaml"))["ScaledObject", "worker"]["spec"]
    [trigger] = scaled["triggers"]
    assert int(trigger["metadata"]["targetQueryValue"]) == int(SETTINGS["MAX_CONCURRENT_JOBS"])
    assert (
        scaled["scaleTargetRef"]["name"] == BASE["Deployment", scaled["scaleTargetRef"]["name"][8:]]["metadata"]["name"]
    )

    with psycopg.connect(dsn, autocommit=True) as connection:
        query = trigger["metadata"]["query"]
        assert connection.execute(query).fetchone() == (0,)
        connection.execute("INSERT INTO coding_jobs (actor, payload) SELECT 'a', '{}' FROM generate_series(1, 5)")
        connection.execute(
            "INSERT INTO coding_jobs (actor, payload, run_at) VALUES ('a', '{}', now() + interval '1 h')"
        )
        connection.execute("SELECT claim_next_job()")
        assert connection.execute(query).fetchone() == (5,)
