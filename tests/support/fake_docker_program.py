"""A stand-in for `docker`, as an executable: strict about what it is asked, with bad days, and without an engine.

It knows the subcommands and options that we use, and refuses all others. Containers are real processes: namespaces of
bubblewrap, entered for `exec`. Limits of memory and processes need an engine, and are not kept here. What it knows is
in the folder that DOCKER_HOST names: `containers.json`, `faults.json`, `asked`, and the volumes.
"""

import contextlib
import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

IMAGE = "image:1"
BEGIN_SECONDS, LOOK_SECONDS = 20.0, 0.002  # for a container to begin, on a busy machine; between two looks
_OF_CREATE = (
    "name hostname pull label network ipc log-driver cap-drop cap-add security-opt user memory memory-swap pids-limit "
    "ulimit tmpfs shm-size mount workdir entrypoint"
)
OPTIONS = {  # of each subcommand: with a value, and without
    "image inspect": ("format", ""),
    "container inspect": ("", ""),
    "create": (_OF_CREATE, "read-only init no-healthcheck"),
    "start": ("", ""),
    "exec": ("user", "interactive"),
    "ps": ("filter", "all quiet"),
    "cp": ("", ""),
    "stop": ("time", ""),
    "rm": ("", "force volumes"),
}
Json = dict[str, Any]


def load(path: Path, default: Any) -> Any:
    return json.loads(path.read_text()) if path.exists() else default


def main() -> None:
    scheme, _, place = os.environ.get("DOCKER_HOST", "").partition("://")
    if scheme != "fake" or not Path(place).is_dir():
        fail("Cannot connect to the Docker daemon at tcp://nowhere. Is the docker daemon running?")
    words = sys.argv[1:]
    command = words.pop(0) if words[0] not in {"image", "container"} else f"{words.pop(0)} {words.pop(0)}"
    if command not in OPTIONS:
        fail(f"docker: '{command}' is not a docker command.")
    options, rest = parsed(command, words)
    engine = Engine(Path(place))
    fault = engine.fault(command)
    if fault == "slow":
        time.sleep(1)
    elif fault == "refused":
        fail("error during connect: the connection was refused")
    elif fault not in {None, "reply lost"}:
        fail(str(fault))
    getattr(engine, command.replace(" ", "_"))(options, rest)
    if fault == "reply lost":
        fail("error during connect: Post http://engine: EOF")


def parsed(command: str, words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Options in front, as docker takes them, and the rest."""
    with_value, without = (set(names.split()) for names in OPTIONS[command])
    options: dict[str, list[str]] = {}
    while words and words[0].startswith("--"):
        name, equals, value = words.pop(0)[2:].partition("=")
        if name not in with_value | without:
            fail(f"unknown flag: --{name}")
        if name in with_value and not equals:
            value = words.pop(0)
        options.setdefault(name, []).append(value)
    return options, words


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def fail(text: str, code: int = 1) -> NoReturn:
    sys.stderr.write(text + "\n")
    sys.exit(code)


def _wait_until_it_has_begun(pid: int) -> None:
    """Bubblewrap tells the id before it mounts anything: who enters then finds no program."""
    deadline = time.monotonic() + BEGIN_SECONDS
    with contextlib.suppress(OSError):  # it has ended already, and says why itself
        while not Path(f"/proc/{pid}/task/{pid}/children").read_text():
            if time.monotonic() > deadline:
                fail("Error response from daemon: the container does not begin")
            time.sleep(LOOK_SECONDS)


class Engine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with (folder / "asked").open("a") as file:
            file.write(" ".join(sys.argv[1:3]) + "\n")

    def fault(self, command: str) -> str | None:
        with self._state("faults.json", []) as faults:
            found: list[str] | None = next((fault for fault in faults if fault[0] == command), None)
            if found is not None:
                faults.remove(found)
        return found[1] if found else None

    @contextlib.contextmanager
    def _state(self, name: str = "containers.json", default: Any = None) -> Iterator[Any]:
        """One process at a time changes it."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = load(self.folder / name, {} if default is None else default)
            yield state
            (self.folder / "new").write_text(json.dumps(state))
            (self.folder / "new").rename(self.folder / name)

    def _of(self, containers: dict[str, Json], name: str) -> Json:
        return containers.get(name) or fail(f"Error response from daemon: No such container: {name}")

    def image_inspect(self, _options: Json, names: list[str]) -> None:
        if names != [IMAGE]:
            fail(f"Error response from daemon: No such image: {names[0]}")
        say(json.dumps(load(self.folder / "image.json", {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]})))

    def container_inspect(self, _options: Json, names: list[str]) -> None:
        with self._state() as containers:
            say(json.dumps([_shown(name, self._of(containers, name)) for name in names]))

    def create(self, options: dict[str, list[str]], rest: list[str]) -> None:
        (name,) = options["name"]
        if rest[0] != IMAGE:
            fail(f"Error response from daemon: No such image: {rest[0]}")
        with self._state() as containers:
            if name in containers:
                fail(f'Error response from daemon: Conflict. The container name "/{name}" is already in use by x.')
            mounts = {}
            for mount in options["mount"]:
                fields = dict(field.split("=") for field in mount.split(","))
                assert fields.keys() == {"type", "destination"} and fields["type"] == "volume", mount
                mounts[fields["destination"]] = volume = f"volume-{uuid.uuid4().hex}"
                (self.folder / volume).mkdir(mode=0o755)
            containers[name] = {
                "labels": dict(label.split("=", 1) for label in options["label"]),
                "options": options,
                "mounts": mounts,
                "command": [*options["entrypoint"], *rest[1:]],
                "pid": 0,
                "made_at": datetime.now(UTC).isoformat(),
            }
        say(name)

    def start(self, _options: Json, names: list[str]) -> None:
        with self._state() as containers:
            container = self._of(containers, names[0])
            if not _runs(container):
                container["pid"] = self._boot(container)
        say(names[0])

    def _boot(self, container: Json) -> int:
        """The process id, outside, of its first program."""
        binds = [
            part for place, volume in container["mounts"].items() for part in ("--bind", self.folder / volume, place)
        ]
        system = [part for name in ("bin", "sbin", "lib", "lib64") for part in _system_folder(name)]
        parents = {str(above) for place in container["mounts"] for above in Path(place).parents[:-1]}
        folders = [part for above in sorted(parents) for part in ("--perms", "0755", "--dir", above)]
        said, tell = os.pipe()
        subprocess.Popen(
            [
                *("bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--clearenv"),
                *("--setenv", "PATH", "/usr/bin:/bin", "--ro-bind", "/usr", "/usr", *system),
                *("--proc", "/proc", "--dev", "/dev"),
                *("--perms", "1777", "--tmpfs", "/tmp", "--perms", "1777", "--tmpfs", "/dev/shm"),
                *(*folders, *binds, "--remount-ro", "/", "--info-fd", str(tell), "--", *container["command"]),
            ],
            pass_fds=[tell],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "errors").open("a"),
            start_new_session=True,
        )
        os.close(tell)
        with os.fdopen(said) as info:
            pid = int(json.load(info)["child-pid"])
        _wait_until_it_has_begun(pid)
        return pid

    def exec(self, options: dict[str, list[str]], rest: list[str]) -> None:
        assert options == {"interactive": [""], "user": ["0:0"]}, options
        with self._state() as containers:
            container = self._of(containers, rest[0])
        if not _runs(container):
            fail(f"Error response from daemon: Container {rest[0]} is not running")
        kept = ",".join(["-all", *(f"+{name.lower()}" for name in container["options"]["cap-add"])])
        bounds = ["setpriv", "--no-new-privs", f"--bounding-set={kept}", "--inh-caps=-all", "--clear-groups"]
        place = ["nsenter", f"--target={container['pid']}", "--mount", "--pid", "--net", "--ipc", "--uts", "--wd=/"]
        os.execvpe(  # noqa: S606
            place[0], [*place, *bounds, *rest[1:]], {"PATH": "/usr/bin:/bin"}
        )

    def ps(self, options: dict[str, list[str]], _rest: list[str]) -> None:
        assert options.keys() == {"all", "quiet", "filter"}
        wanted = [tuple(one.removeprefix("label=").split("=", 1)) for one in options["filter"]]
        with self._state() as containers:
            for name, container in containers.items():
                if all(container["labels"].get(label) == value for label, value in wanted):
                    say(name)

    def cp(self, _options: Json, rest: list[str]) -> None:
        (name, _, path), target = rest[0].partition(":"), rest[1]
        assert target == "-"
        with self._state() as containers:
            container = self._of(containers, name)
        for place, volume in container["mounts"].items():
            file = self.folder / volume / path.removeprefix(f"{place}/")
            if path.startswith(f"{place}/") and file.exists():
                packed = io.BytesIO()
                with tarfile.open(fileobj=packed, mode="w") as archive:
                    archive.add(file, file.name)
                sys.stdout.buffer.write(packed.getvalue())
                return
        fail(f"Error response from daemon: Could not find the file {path} in container {name}")

    def stop(self, _options: Json, names: list[str]) -> None:
        with self._state() as containers:
            halt(self._of(containers, names[0]))

    def rm(self, options: dict[str, list[str]], names: list[str]) -> None:
        assert options.keys() == {"force", "volumes"}
        with self._state() as containers:
            container = self._of(containers, names[0])
            halt(container)
            for volume in container["mounts"].values():
                subprocess.run(["rm", "-rf", self.folder / volume], check=True)
            del containers[names[0]]


def _system_folder(name: str) -> list[str]:
    folder = Path("/", name)
    return ["--symlink", str(folder.readlink()), f"/{name}"] if folder.is_symlink() else []


def _runs(container: Json) -> bool:
    """Not when it has ended, and nobody has waited for it so far."""
    try:
        return bool(container["pid"]) and ") Z " not in Path(f"/proc/{container['pid']}/stat").read_text()
    except OSError:
        return False


def halt(container: Json) -> None:
    """End all of its process namespace."""
    with contextlib.suppress(ProcessLookupError):
        if container["pid"]:
            os.kill(container["pid"], signal.SIGKILL)
    while _runs(container):
        time.sleep(0.01)
    container["pid"] = 0


def _shown(name: str, container: Json) -> Json:
    state = {"Running": _runs(container)}
    return {
        "Name": f"/{name}",
        "Created": container["made_at"],
        "State": state,
        "Config": {"Labels": container["labels"]},
    }


if __name__ == "__main__":
    main()
