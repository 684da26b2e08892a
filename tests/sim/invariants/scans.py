"""A scan that ends has found everything that was there all the time, and nothing that never was.

Checks SCAN with MATCH and SSCAN of scanners against the keys and members that they made before. Cannot see scans that
are refused because a snapshot is over a limit, nor runs with more than f faulty replicas.
"""

from tests.sim.errands import Errand, Question, Scanner
from tests.sim.invariants.base import Invariant
from tests.sim.swarm import Phase

SCANS = (b"SCAN", b"SSCAN")


class Scans(Invariant):
    """All that stays is found."""

    def told(self, errand: Errand, question: Question, reply: bytes) -> None:
        """An errand's request was answered."""
        if self.world.swarm.phase is Phase.BEYOND or question.request[0] not in SCANS:
            return
        if reply.startswith(b"-") and not (reply.startswith(b"-NOQUORUM") and b"over the limit" in reply):
            raise self.broken(f"{question.request} was answered {reply!r}")

    def scanned(self, scanner: Scanner, command: bytes, found: list[bytes]) -> None:
        """A scan has ended."""
        if self.world.swarm.phase is Phase.BEYOND:
            return
        stays = scanner.stable if command == b"SCAN" else scanner.members
        may = [*stays, scanner.passing] if command == b"SCAN" else stays
        if set(stays) - set(found):
            raise self.broken(f"{command!r} did not find {sorted(set(stays) - set(found))}")
        if set(found) - set(may) or len(found) != len(set(found)):
            raise self.broken(f"{command!r} found {sorted(found)}, there are only {sorted(may)}")
