"""A diff is shown with a class for what changed, and as nothing but text."""

from bridge.web.diff_text import diffed


def test_lines_get_the_class_of_their_change() -> None:
    assert diffed("--- a\n+++ b\n@@ -1 +1 @@\n-<b>\n+&\n same") == (
        '--- a\n+++ b\n<span class="hunk">@@ -1 +1 @@\n</span><span class="removed">-&lt;b&gt;\n</span>'
        '<span class="added">+&amp;\n</span> same'
    )
