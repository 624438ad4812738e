import time

import pytest

from actors.coding.agent.shell_fences import shell_blocks


@pytest.mark.parametrize(
    ("prompt", "blocks"),
    [
        ("no block", []),
        ("```sh\necho a\n```", ["echo a\n"]),
        ("text\n```sh\necho a\n```\nmore\n```sh\necho b\necho c\n```\n", ["echo a\n", "echo b\necho c\n"]),
        ("```sh  \r\necho a\r\n```\r\n", ["echo a\n"]),
        ("  ```sh\necho a\n  ```", ["echo a\n"]),
        ("```bash\necho a\n```\n```python\nx\n```\n```\ny\n```", []),
        ("```shell\necho a\n```", []),
        ("```sh\nnever closed", []),
        ("```sh\n```", [""]),
        ("text ```sh\necho a\n```", []),
    ],
)
def test_closed_sh_blocks_are_found_in_order(prompt: str, blocks: list[str]) -> None:
    assert shell_blocks(prompt) == blocks


def test_many_openings_take_no_time() -> None:
    began = time.monotonic()

    assert shell_blocks("```sh\n" * 100_000) == []

    assert time.monotonic() - began < 2
