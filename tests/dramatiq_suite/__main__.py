"""Fetch the tests of the installed Dramatiq, run them against our broker, and compare with differences.txt.

Exit code 0 if exactly the tests listed there fail; each has its reason there.
"""

import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Tests of other brokers, of Dramatiq's command line, and of code that does not use a broker.
NOT_OURS = ["rabbitmq", "broker", "stub_broker", "cli", "pidfile", "watch", "canteen", "common", "types"]


def main(options: list[str]) -> int:
    """Run with options of pytest, such as -k some_test; without any, run all and compare. Returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="mobvibe-dramatiq-") as folder:
        results = run(fetch(Path(folder)), options)
    return 0 if options else compare(results, differences())


def fetch(folder: Path) -> Path:
    """Fetch the source archive of the installed version. Returns the folder of its tests."""
    version = importlib.metadata.version("dramatiq")
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", folder,
         f"dramatiq=={version}"],
        check=True,
    )  # fmt: skip
    (archive,) = folder.glob("dramatiq-*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    tests = folder / "theirs"
    shutil.move(folder / f"dramatiq-{version}" / "tests", tests)
    for name in NOT_OURS:
        (tests / f"test_{name}.py").unlink()
    (tests / "__init__.py").touch()
    shutil.copy(HERE / "common.py", tests / "common.py")
    return tests


def run(tests: Path, more: list[str]) -> dict[str, bool]:
    """Run the tests. Returns, by `file::test`, whether it passed."""
    report = tests.parent / "report.xml"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=line", "--show-capture=no", "--timeout", "30", "-W", "ignore",
         "-c", "/dev/null", "-p", "no:cacheprovider", "-p", "tests.conftest", "-p", "tests.dramatiq_suite.fixtures",
         f"--rootdir={tests.parent}", f"--junitxml={report}", *more, str(tests)],
        cwd=ROOT, check=False,
    )  # fmt: skip
    results = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 -- pytest wrote it
        if case.find("skipped") is None:
            name = f"{case.attrib['classname'].rpartition('.')[2]}.py::{case.attrib['name']}"
            results[name] = case.find("failure") is None and case.find("error") is None
    return results


def differences() -> dict[str, str]:
    """The reason, by `file::test`, why it fails here on purpose."""
    lines = (HERE / "differences.txt").read_text().splitlines()
    pairs = [line.split("  ", 1) for line in lines if line and not line.startswith("#")]
    return {name: reason.strip() for name, reason in pairs}


def compare(results: dict[str, bool], expected: dict[str, str]) -> int:
    """Print the figures, and each result that differs from the list. Returns the exit code."""
    may_pass = {name.removeprefix("~") for name in expected if name.startswith("~")}
    reasons = {name.removeprefix("~"): reason for name, reason in expected.items()}
    failed = {name for name, passed in results.items() if not passed}
    version = importlib.metadata.version("dramatiq")
    print(f"\nDramatiq {version}: {len(results)} of its tests ask for a broker, {len(results) - len(failed)} pass")
    for name in sorted(failed & set(reasons)):
        print(f"  differs on purpose: {name}: {reasons[name]}")
    unlisted, passed = failed - set(reasons), set(reasons) - failed - may_pass
    for name in sorted(unlisted):
        print(f"  FAILS: {name}")
    for name in sorted(passed):
        print(f"  listed in differences.txt, and did not fail: {name}")
    return int(bool(unlisted or passed))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
