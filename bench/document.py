"""Writes the tables into a document, between two marks. Text outside the marks is kept."""

from pathlib import Path

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"
_NEW = f"# Performance\n\n{BEGIN}\n{END}\n"


def write_between_marks(file: Path, text: str) -> None:
    """Replace the text between the marks. A missing file is created. Raises ValueError if there are no marks."""
    before, begin, rest = (file.read_text("utf-8") if file.exists() else _NEW).partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} has no lines {BEGIN} and {END} to write between; put them where the tables belong")
    file.write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{after}", "utf-8")
