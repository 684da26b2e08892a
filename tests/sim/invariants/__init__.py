"""The promises, one file each. A run creates all of them; each sees everything and raises `Violation` when broken."""

from tests.sim.invariants.agreement import Agreement
from tests.sim.invariants.at_most_once import AtMostOnce
from tests.sim.invariants.base import Invariant, Violation, Watch
from tests.sim.invariants.bounds import Bounds
from tests.sim.invariants.checkpoints import Checkpoints
from tests.sim.invariants.client_order import ClientOrder
from tests.sim.invariants.conservation import Conservation
from tests.sim.invariants.convergence import Convergence
from tests.sim.invariants.durability import Durability
from tests.sim.invariants.full_strength import FullStrength
from tests.sim.invariants.guilt import Guilt
from tests.sim.invariants.honest_failure import HonestFailure
from tests.sim.invariants.innocence import Innocence
from tests.sim.invariants.leniency import Leniency
from tests.sim.invariants.liveness import Liveness
from tests.sim.invariants.lives import Lives
from tests.sim.invariants.messages import Messages
from tests.sim.invariants.planned import Planned
from tests.sim.invariants.remains import Remains
from tests.sim.invariants.scans import Scans
from tests.sim.invariants.shadows import Shadows
from tests.sim.invariants.strength import Strength
from tests.sim.invariants.total_order import TotalOrder

ALL: tuple[type[Invariant], ...] = (
    TotalOrder,
    Agreement,
    ClientOrder,
    Messages,
    Conservation,
    Scans,
    AtMostOnce,
    Guilt,
    Innocence,
    Leniency,
    HonestFailure,
    Strength,
    Bounds,
    Liveness,
    Convergence,
)

# In runs in which replicas are rebuilt. More than f liars may put into the store whatever they like.
HEALING: tuple[type[Invariant], ...] = (Durability, Shadows, FullStrength, Lives, Remains)
RECOVERING: tuple[type[Invariant], ...] = (Planned, *ALL, Checkpoints, *HEALING)
BEYOND: tuple[type[Invariant], ...] = (
    TotalOrder,
    Agreement,
    ClientOrder,
    Guilt,
    Innocence,
    Leniency,
    HonestFailure,
    Strength,
    Bounds,
    Liveness,
)
RECOVERING_BEYOND: tuple[type[Invariant], ...] = (Planned, *BEYOND, *HEALING)

__all__ = ["ALL", "RECOVERING", "RECOVERING_BEYOND", "Invariant", "Violation", "Watch"]
