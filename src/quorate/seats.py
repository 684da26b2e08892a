"""One seat of a running cell: the replica in it, the variant that it is, and how far it got."""

from dataclasses import dataclass, field

from .config import Replica, Variant
from .domains.port import Domain, Usage
from .drills import Drill
from .lives import Life
from .trusted.messages import Role
from .trusted.recover import become

# Whose life is over, or all but its domain's end.
GONE = (Role.CONVICTED, Role.RETIRING, Role.RETIRED)
NO_USAGE = Usage(0, 0)


@dataclass(slots=True)
class Seat:
    """What Ring 1 knows of a seat. `role` is as far as it was announced: nobody is seen convicted without a cause.

    `generation` counts the replicas that were prepared for it. `retiring` holds the domains of those that another one
    has replaced, until they are ended.
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
    retiring: list[Domain] = field(default_factory=list)

    def become(self, role: Role) -> None:
        """Its replica's life goes on."""
        self.role = become(self.role, role)

    def retire(self) -> None:
        """Its replica is to go, however far it got; who is gone already stays what it is."""
        if self.role not in GONE:
            self.become(Role.RETIRING)

    def take(self, variant: Variant, domain: Domain, role: Role = Role.BOOTING) -> Domain:
        """Another replica, which is `role`, has the seat. Returns the domain of the one before, to be ended."""
        self.retire()
        old, self.domain = self.domain, domain
        if self.role is Role.RETIRING:
            self.retiring.append(old)
        self.variant = variant
        self.role = role
        self.cause = ""
        self.faults = set()
        self.drill = None
        return old

    async def end(self, domain: Domain) -> None:
        """Leave nothing of this domain: whoever was retiring in it, here or replaced meanwhile, is retired."""
        await domain.kill()
        if domain in self.retiring:
            self.retiring.remove(domain)
        if domain is self.domain and self.role is Role.RETIRING:
            self.become(Role.RETIRED)
