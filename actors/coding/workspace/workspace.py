"""The workspace of a session over its turns: there at the beginning of each, saved at the end."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from actors.coding.redact.known import KnownSecrets
from actors.coding.sandbox.base import Sandbox
from actors.coding.workspace.choice import Limits
from actors.coding.workspace.clone import is_cloned
from actors.coding.workspace.diff import change_events
from actors.coding.workspace.listing import list_workspace, run_inside
from actors.coding.workspace.restore import restore
from actors.coding.workspace.save import save
from bridge.snapshots.bundles import BundleStore, keep, load
from bridge.snapshots.repository import Repository

MB = 1_000_000  # bytes
_EMPTY = ["find", ".", "-mindepth", "1", "-delete"]


class Workspace:
    """`repository` is where this machine has the snapshots of the session; `bundles` keeps them for all machines.

    `kept_bytes`: what the bundles of a session may take. All methods raise WorkspaceError, GitError and SandboxError
    (trying again may help), NotOursError, and StoreUnavailableError.
    """

    def __init__(
        self,
        session_id: UUID,
        sandbox: Sandbox,
        repository: Repository,
        bundles: BundleStore,
        *,
        limits: Limits,
        kept_bytes: int,
        known: KnownSecrets,
    ) -> None:
        self._session_id = session_id
        self._sandbox = sandbox
        self._repository = repository
        self._bundles = bundles
        self._limits = limits
        self._kept_bytes = kept_bytes
        self._known = known

    def prepare(
        self, bring: Callable[[Sandbox], str] | None = None, *, has_worked: Callable[[], bool] = lambda: False
    ) -> str | None:
        """Before a turn: an empty workspace gets the files of the last snapshot; without one, what `bring` clones.

        Work is never cloned over: `has_worked` says whether the agent has done anything yet. Returns what the user
        should know. Raises what `bring` raises, too.
        """
        with self._repository.locked():
            problem = load(self._repository, self._bundles, self._session_id)
            head = self._repository.head()
            said = self._begin(bring, has_worked) if head is None else self._restore(head)
        return "; ".join(filter(None, (said, problem))) or None

    def _restore(self, head: str) -> str | None:
        if not self._repository.entries(head) or list_workspace(self._sandbox).items:
            return None
        files = restore(self._sandbox, self._repository, head)
        return f"the sandbox was new: {files} files of commit {head[:10]} were brought back"

    def _begin(self, bring: Callable[[Sandbox], str] | None, has_worked: Callable[[], bool]) -> str | None:
        said = None
        if bring is not None and not is_cloned(self._sandbox):
            is_empty = not list_workspace(self._sandbox).items
            if is_empty or not has_worked():
                run_inside(self._sandbox, _EMPTY)  # of what a clone has left that was interrupted
                said = bring(self._sandbox)
        save(self._sandbox, self._repository, "start", self._limits)
        return said

    def finish_turn(self, turn: int) -> list[dict[str, Any]]:
        """After a turn: save what it changed, and give the data of its `file_change` events."""
        with self._repository.locked():
            saved = save(self._sandbox, self._repository, f"turn {turn}", self._limits)
            is_kept = keep(self._repository, self._bundles, self._session_id, self._kept_bytes)
            last = self._repository.head() or saved.commit  # `keep` may have made another one of it
            events = list(change_events(self._repository, saved._replace(commit=last), self._known))
            if not is_kept:
                for event in events[-1:]:
                    event["notKept"] = f"it takes more than {self._kept_bytes // MB} MB: it is in its sandbox only"
        return events
