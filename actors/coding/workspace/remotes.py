"""The Git hosts of this installation, and what clones from them."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from actors.coding.sandbox.base import Sandbox
from actors.coding.sandbox.daemon.proxy import addresses_of, is_public
from actors.coding.workspace.address import CloneError, HostUnavailableError, checked_address
from actors.coding.workspace.clone import clone
from bridge import Fail, Retry
from bridge.snapshots.git import Interruptible
from bridge.snapshots.origin import Origin


@dataclass(frozen=True, slots=True)
class Remotes:
    """`hosts`: names, or `name:port`. `token` is sent to the first of them alone: it is of one host.

    `trusted`: a file with certificates, instead of the system's.
    """

    hosts: Sequence[str]
    token: str | None = field(default=None, repr=False)
    trusted: Path | None = None
    resolve: Callable[[str, int], Sequence[str]] = addresses_of
    may_reach: Callable[[str], bool] = is_public

    def clone(self, sandbox: Sandbox, origin: Origin, interruptible: Interruptible = nullcontext) -> str:
        """Returns what the user should know. Raises Fail, Retry; WorkspaceError, SandboxError."""
        try:
            address = checked_address(origin.url, self.hosts, resolve=self.resolve, may_reach=self.may_reach)
            token = self.token if address.authority == self.hosts[0] else None
            commit = clone(
                sandbox,
                address,
                branch=origin.branch,
                token=token,
                trusted=self.trusted,
                interruptible=interruptible,
            )
        except HostUnavailableError as error:
            raise Retry(str(error)) from None
        except CloneError as error:
            raise Fail(str(error)) from None
        return f"cloned {address.url.removeprefix('https://')} at {commit[:10]}"
