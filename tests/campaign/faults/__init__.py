"""Every kind of fault, by its label."""

from tests.campaign.faults.injection import Injection
from tests.campaign.faults.links import LINKS
from tests.campaign.faults.messages import MESSAGES
from tests.campaign.faults.points import POINTS
from tests.campaign.faults.processes import PROCESSES
from tests.campaign.faults.stores import STORES

KINDS: dict[str, type[Injection]] = {kind.label: kind for kind in (*PROCESSES, *POINTS, *STORES, *LINKS, *MESSAGES)}
WEIGHTS = {label: kind.weight for label, kind in KINDS.items()}
