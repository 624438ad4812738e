"""The place of the tables in a document, between two marks; what people wrote around them stays."""

from pathlib import Path

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"
_NEW = f"# Performance\n\n{BEGIN}\n{END}\n"


def write_between_marks(file: Path, text: str) -> None:
    """Replace what stands between the marks; a file that is not there is made. Raises ValueError without marks."""
    before, begin, rest = (file.read_text("utf-8") if file.exists() else _NEW).partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} has no lines {BEGIN} and {END} to write between; put them where the tables belong")
    file.write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{after}", "utf-8")
