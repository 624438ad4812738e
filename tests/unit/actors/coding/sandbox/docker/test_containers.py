"""What a container is made with."""

from dataclasses import replace
from itertools import pairwise
from uuid import UUID, uuid4

import pytest

from actors.coding.sandbox.docker.containers import KEEPER, boot, name_of, options, program, unsafe_place
from actors.coding.sandbox.folders import USERS
from tests.support.sandboxes import SPEC

SESSION = UUID(int=7)


def test_names_are_those_of_a_session_in_an_installation() -> None:
    assert name_of(SESSION, "a") == name_of(SESSION, "a")
    assert len({name_of(SESSION, "a"), name_of(SESSION, "{b}"), name_of(uuid4(), "a")}) == 3
    assert name_of(SESSION, "{b}").replace("-", "").isalnum()


def test_a_container_has_no_network_and_nothing_of_the_machine_whatever_the_spec_says() -> None:
    given = options(SESSION, "tests", replace(SPEC, allowed_hosts=("pypi.org",)), "image")
    pairs = set(pairwise(given))

    assert {
        ("--network", "none"),
        ("--cap-drop", "ALL"),
        ("--security-opt", "no-new-privileges"),
        ("--memory", "1280m"),
        ("--memory-swap", "1280m"),
        ("--pids-limit", "576"),
        ("--pull", "never"),
        ("--label", "mobvibe.installation=tests"),
        ("--label", f"mobvibe.session={SESSION}"),
    } <= pairs
    assert {"--read-only", "--init", "--no-healthcheck"} <= set(given)
    assert not {"--privileged", "--env", "-e", "--env-file", "--volume", "-v", "--device", "--publish"} & set(given)
    mounts = [value for name, value in pairs if name == "--mount"]
    assert all(mount.startswith("type=volume,destination=/") and "source" not in mount for mount in mounts)


def test_our_account_is_none_of_the_commands() -> None:
    told = boot(SESSION, proxied=False)

    assert told["account"] in USERS
    assert told["keeper"] == KEEPER not in USERS
    assert program("name")[:5] == ["exec", "--interactive", "--user", "0:0", "name"]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/usr/local/bin:/usr/bin", None),
        ("/usr/bin:/home/agent/.local/bin:/workspace/node_modules/.bin", None),
        ("/usr/bin:/home/agents/bin", None),
        ("/home/agent/.local/bin:/usr/bin", "/home/agent/.local/bin"),
        ("/usr/sbin:/usr/../workspace/bin:/usr/bin", "/usr/../workspace/bin"),
        ("/tmp:/usr/bin", "/tmp"),
        ("workspace:/usr/bin", "workspace"),
        (":/usr/bin", "an empty part"),
    ],
)
def test_commands_put_no_program_before_those_of_the_image(path: str, place: str | None) -> None:
    assert unsafe_place(["HOME=/tmp", f"PATH={path}"]) == place
    assert unsafe_place([]) is None
