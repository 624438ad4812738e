"""Where a session's files come from: an address by HTTPS without a token, and a branch."""

from typing import Any

import pytest

from bridge.snapshots.origin import Origin, OriginError, read_origin


@pytest.mark.parametrize(
    "given",
    [
        {"url": "https://github.com/owner/name"},
        {"url": "https://GitHub.com:8443/~a/b+c.git", "branch": "feature/a-1.x"},
    ],
)
def test_an_address_and_a_branch_are_read_and_become_the_payload_of_a_job(given: dict[str, str]) -> None:
    origin = read_origin(given)

    assert origin == Origin(given["url"], given.get("branch"))
    assert origin.payload == {"repository": given}


@pytest.mark.parametrize(
    "given", [None, "https://github.com/a/b", [], {}, {"branch": "a"}, {"url": "https://github.com/a/b", "token": "x"}]
)
def test_what_is_no_repository_is_refused(given: Any) -> None:
    with pytest.raises(OriginError, match="must be an object with url"):
        read_origin(given)


@pytest.mark.parametrize(
    "url",
    [
        "http://github.com/a/b",
        "ssh://git@github.com/a/b",
        "git@github.com:a/b",
        "file:///etc",
        "/etc",
        "ext::sh -c id",
        "https://github.com",
        "https://github.com/a/../b",
        "https://github.com/a b",
        "https://github.com/a?x=1",
        "https://github.com/a#x",
        "https://github.com/a\nb",
        "https://gith\tub.com/a",
        "https://[::1]/a",
        "https://github.com:0/a",
        "https://github.com:x/a",
        "https:///a",
        "--upload-pack=id",
        "https://github.com/" + "a" * 500,
        "",
        None,
        7,
        ["https://github.com/a/b"],
    ],
)
def test_other_addresses_are_refused(url: Any) -> None:
    with pytest.raises(OriginError, match="is not one such as"):
        read_origin({"url": url})


@pytest.mark.parametrize("url", ["https://token@github.com/a/b", "https://user:token@github.com/a/b"])
def test_a_token_in_the_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(OriginError, match="has a user or a token in it") as refused:
        read_origin({"url": url})
    assert "token@" not in str(refused.value)


@pytest.mark.parametrize("branch", [None, 7, "", "-a", "/a", "a..b", "a b", "a\n", "ä", "a" * 201, "--upload-pack=id"])
def test_a_branch_that_git_may_take_for_something_else_is_refused(branch: Any) -> None:
    with pytest.raises(OriginError, match="branch has a name"):
        read_origin({"url": "https://github.com/a/b", "branch": branch})
