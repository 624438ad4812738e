"""What a terminal printed is shown in its colours, and as nothing but text."""

import pytest

from bridge.web.terminal_text import coloured, last_style


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[32mok\x1b[0m rest", '<span class="ansi-green">ok</span> rest'),
        (
            "\x1b[1;31mbad\x1b[39m still bold",
            '<span class="ansi-red bold">bad</span><span class="bold"> still bold</span>',
        ),
        ("\x1b[91mbright\x1b[34mblue", '<span class="ansi-red">bright</span><span class="ansi-blue">blue</span>'),
        ("\x1b[31mred\x1b[mnone", '<span class="ansi-red">red</span>none'),
        ("\x1b[38;5;200mother", "other"),
        ("\x1b[38;5;1mno red and not bold", "no red and not bold"),
        ("\x1b[31m\x1b[48;2;1;1;31mstill red", '<span class="ansi-red">still red</span>'),
        ("\x1b[1;38;5;31;32mbold green", '<span class="ansi-green bold">bold green</span>'),
        ("\x1b[2J\x1b[10;4Hmoved\x1b]0;title\x07\x08\x00", "moved"),
        ("\x1b[31m<b>&\x1b[0m<script>", '<span class="ansi-red">&lt;b&gt;&amp;</span>&lt;script&gt;'),
        ("\x1b[" + "9" * 10_000 + "mhuge", "huge"),
        ("cut \x1b[3", "cut \x1b[3".replace("\x1b", "")),
    ],
)
def test_colours_become_classes_and_the_rest_text(printed: str, shown: str) -> None:
    assert coloured(printed) == shown


def test_a_text_says_in_which_style_it_ends() -> None:
    assert last_style("\x1b[1;31mred") == "ansi-red bold"
    assert last_style("\x1b[31mred\x1b[0m") == ""
