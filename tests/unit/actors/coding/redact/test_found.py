"""Where a secret goes on, and where one may begin."""

import re

from actors.coding.redact.found import Beginning, Run


def test_a_run_ends_before_the_first_other_character() -> None:
    assert Run("a-c").end("xxabcd", 2) == 5
    assert Run("a-c").end("xxd", 2) == 2
    assert Run("a-c").end("xxabc", 2) is None
    assert Run("a-c").end("xx", 2) is None


def test_a_beginning_is_searched_in_its_window_after_what_is_done() -> None:
    beginning = Beginning("b", re.compile(r"b(?P<secret>c*)\Z"), window=3, before=1)

    assert beginning.place("abcc", 0) == 2
    assert beginning.place("abcc", 2) == 2
    assert beginning.place("abcc", 3) is None
    assert beginning.place("abcccc", 0) is None
    assert beginning.place("acc", 0) is None
