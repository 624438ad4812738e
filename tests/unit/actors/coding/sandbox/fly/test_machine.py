"""What a machine of Fly is made with. That its programs suffice is seen in test_provider.py, where they run."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

from actors.coding.sandbox.fly.machine import body_of, name_of, token_of, volume_name_of, volume_of
from tests.support.sandboxes import SPEC


def body(**changes: Any) -> dict[str, Any]:
    spec = replace(SPEC, **changes)
    config = body_of(uuid4(), "ours", spec, volume="vol_1", image="image", region="fra", token="token")["config"]
    return dict(config)


def test_names_are_the_sessions_and_short_enough() -> None:
    one, other = uuid4(), uuid4()

    for name, most in ((name_of, 63), (volume_name_of, 30)):
        assert name(one, "a") == name(one, "a")
        assert len({name(one, "a"), name(other, "a"), name(one, "{b}")}) == 3
        assert len(name(one, "{b}")) <= most
        assert name(one, "{b}").replace("_", "").replace("-", "").isalnum()


def test_each_session_has_a_token_of_its_own() -> None:
    one, other = uuid4(), uuid4()

    assert token_of(one, "secret") == token_of(one, "secret")
    assert len({token_of(one, "secret"), token_of(other, "secret"), token_of(one, "other")}) == 3


def test_a_machine_is_large_enough_for_its_limits() -> None:
    assert body(memory_mb=512)["guest"]["memory_mb"] == 1280
    assert body(memory_mb=500)["guest"]["memory_mb"] == 1280
    assert volume_of(uuid4(), "ours", replace(SPEC, disk_mb=2500), "fra")["size_gb"] == 3
    assert volume_of(uuid4(), "ours", SPEC, "fra")["size_gb"] == 1


def test_the_image_is_the_sessions_or_the_settings() -> None:
    assert body()["image"] == "image"
    assert body(image="other")["image"] == "other"
