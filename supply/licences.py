"""The licences of all dependencies, as they say it themselves: python -m supply.licences.

Exit code 1: one is not known, or asks for more than to be named and is not among those that were looked at.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution
from pathlib import Path

from supply.dependencies import by_use

LIBRARY = "LGPL: imported as a library, unchanged; whoever gets the image can replace it"
NOT_SHIPPED = "used in development, not shipped"
LOOKED_AT: Mapping[str, str] = {
    "certifi": NOT_SHIPPED,
    "dramatiq": LIBRARY,
    "hypothesis": NOT_SHIPPED,
    "pathspec": NOT_SHIPPED,
    "psycopg": LIBRARY,
    "psycopg-binary": LIBRARY,
    "psycopg-pool": LIBRARY,
    "yamllint": NOT_SHIPPED,
}
_COPYLEFT = re.compile(r"GPL|MPL|EPL|EUPL|CDDL|General Public|Mozilla", re.IGNORECASE)
_PERMISSIVE = re.compile(r"\b(0BSD|Apache|BSD|ISC|MIT|PSF|Python Software Foundation|Unlicense|Zlib)\b", re.IGNORECASE)
VENDORED = Path(__file__).parents[1] / "bridge" / "web" / "static" / "vendor"
_LONGEST_NAME = 60  # characters: a longer one is the text of a licence


def licence(one: Distribution) -> str:
    """Its name, or an empty text."""
    metadata = one.metadata
    named = [text for key in ("License-Expression", "License") for text in metadata.get_all(key, []) if text.strip()]
    name = named[0].strip().partition("\n")[0] if named else ""
    classes = [
        line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier", []) if line.startswith("License ::")
    ]
    return name if 0 < len(name) <= _LONGEST_NAME else " AND ".join(classes)


def kind(name: str) -> str:
    """`permissive`, `copyleft` or `unknown`. Of alternatives (OR) the best one counts, else the worst."""
    every = [{_kind(one) for one in re.split(r"\bOR\b", part)} for part in re.split(r"\bAND\b", name)]
    best = ["permissive" if "permissive" in kinds else min(kinds) for kinds in every]
    return max(best, key=["permissive", "copyleft", "unknown"].index)


def _kind(name: str) -> str:
    if _COPYLEFT.search(name):
        return "copyleft"
    return "permissive" if _PERMISSIVE.search(name) else "unknown"


def objections(found: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the licences of these packages, a line for each."""
    for package, name in found.items():
        if kind(name) == "unknown":
            yield f"{package} has a licence that is not known here: {name or 'none is named'}"
        elif kind(name) == "copyleft" and package not in LOOKED_AT:
            yield f"{package} is under {name}: look at what it asks for, then name it in supply/licences.py"


def vendored() -> dict[str, str]:
    """Files of others in our package: name → the first line of the licence beside them."""
    found = {}
    for script in sorted(VENDORED.glob("*.js")):
        text = script.with_name(f"{script.name.partition('.min.')[0]}.LICENSE.txt")
        found[script.name] = text.read_text("utf-8").partition("\n")[0] if text.exists() else ""
    return found


def main() -> int:
    found = by_use()
    names = {package: licence(found[package][1]) for package in sorted(found)}
    for package, name in names.items():
        use, one = found[package]
        print(f"{package:28} {one.version:18} {use:12} {name}")
    for file, name in vendored().items():
        print(f"{file:47} {'run':12} {name}")
    wrong = list(objections(names | vendored()))
    for line in wrong:
        print(line, file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
