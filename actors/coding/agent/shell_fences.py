"""The shell blocks that a prompt holds, between the fences ```sh and ```."""

import re

_OPENS = re.compile(r" {0,3}```sh[ \t]*\r?")
_CLOSES = re.compile(r" {0,3}```[ \t]*\r?")


def shell_blocks(prompt: str) -> list[str]:
    """The closed ```sh blocks of a prompt, in order."""
    blocks: list[str] = []
    inside: list[str] | None = None
    for line in prompt.split("\n"):  # a regular expression for whole blocks would take quadratic time
        if inside is None:
            inside = [] if _OPENS.fullmatch(line) else None
        elif _CLOSES.fullmatch(line):
            blocks.append("".join(text.removesuffix("\r") + "\n" for text in inside))
            inside = None
        else:
            inside.append(line)
    return blocks
