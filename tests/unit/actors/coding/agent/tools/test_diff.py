import difflib
import random
import time

from actors.coding.agent.tools.diff import diff


def unified(before: str, after: str) -> str:
    """With the line numbers that difflib leaves out where they are 1, as ours are always written."""
    lines = difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), "a/f", "b/f", n=3)
    return "".join(lines)


def numbered(count: int) -> list[str]:
    return [f"line {number}\n" for number in range(count)]


def test_it_is_the_diff_that_others_make() -> None:
    chance = random.Random(1)
    for _ in range(200):
        before = numbered(chance.randrange(2, 60))
        after = list(before)
        for _ in range(chance.randrange(1, 4)):
            after.insert(chance.randrange(len(after)), "new\n")
        assert diff("f", "".join(before), "".join(after)) == unified("".join(before), "".join(after))


def test_a_file_without_a_line_break_at_its_end_says_so() -> None:
    assert diff("f", "a", "b") == (
        "--- a/f\n+++ b/f\n@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"
    )


def test_a_large_change_is_cut_and_says_so() -> None:
    text = diff("f", None, "x" * 50_000)

    assert len(text) < 17_000
    assert text.endswith(" characters left out]\n")


def test_a_file_with_many_equal_lines_takes_no_time() -> None:
    before = "a\nb\n" * 20_000
    began = time.monotonic()
    diff("f", before, before.replace("b", "c"))

    assert time.monotonic() - began < 5


def test_no_change_is_no_hunk() -> None:
    assert diff("f", "a\n", "a\n") == "--- a/f\n+++ b/f\n"
