"""Terminal sequences that show nothing themselves."""

import re

# Colours and cursor movements, character sets. Titles and links (OSC) count as text: secrets in them are found.
SEQUENCE = re.compile(r"(\x1b(?:\[[0-?]*+[ -/]*+[@-~]|[()][0-9A-Za-z]))")
_CUT = re.compile(r"\x1b(?:\[[0-?]{0,60}[ -/]{0,4}|[()])?\Z")
_LONGEST_CUT = 68  # characters that it matches


def cut_end(text: str) -> int:
    """Where a sequence begins that the end of the text cuts."""
    cut = _CUT.search(text, max(0, len(text) - _LONGEST_CUT)) if "\x1b" in text else None
    return cut.start() if cut else len(text)
