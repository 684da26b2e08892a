"""One seat of a running cell: the replica in it, the variant that it is, and how far it got."""

from dataclasses import dataclass, field

from .config import Replica, Variant
from .domains.port import Domain, Usage
from .drills import Drill
from .lives import Life
from .trusted.messages import Role

NO_USAGE = Usage(0, 0)


@dataclass(slots=True)
class Seat:
    """What Ring 1 knows of a seat. `role` is as far as it was announced: nobody is seen convicted without a cause.

    `generation` counts the replicas that were prepared for it.
    """

    index: int
    replica: Replica
    variant: Variant
    domain: Domain
    life: Life
    role: Role = Role.BOOTING
    cause: str = ""
    last_slot: int = 0
    generation: int = 0
    usage: Usage = NO_USAGE
    faults: set[str] = field(default_factory=set)
    drill: Drill | None = None

    def take(self, variant: Variant, domain: Domain, role: Role) -> Domain:
        """Another replica has the seat. Returns the domain of the one before."""
        old, self.domain = self.domain, domain
        self.variant = variant
        self.role = role
        self.cause = ""
        self.faults = set()
        self.drill = None
        return old
