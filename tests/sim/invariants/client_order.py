"""Promise 2, second half: a client's own replies come in its own order, each the one that a single server would give.

Checks every reply that a caller reads, byte for byte, against the reference; so it also sees wrong rewriting, a wrong
canonical form, and deadlines. While more than f replicas are faulty only the number of replies is checked, by
`reply to nothing`. Cannot see the replies of rogues.
"""

from tests.sim.invariants.base import Invariant
from tests.sim.reference import Expectation
from tests.sim.swarm import Phase


class ClientOrder(Invariant):
    """The right reply at the right place."""

    def answered(self, name: int, expectation: Expectation | None, reply: bytes) -> None:
        if expectation is None:
            raise self.broken(f"caller {name} got {reply!r} in reply to nothing")
        if expectation.reply is None or self.world.swarm.phase is Phase.BEYOND or self.world.is_rewound:
            return
        limit = self.world.swarm.limits.unordered_bytes_max
        # What replicas send may be longer than what the client is told: HKEYS reads values too, EXEC has many frames.
        is_long = len(expectation.reply) > limit // 4 or expectation.request[0] in (b"HKEYS", b"HVALS", b"EXEC")
        if is_long and reply.startswith(b"-NOQUORUM") and b"over the limit" in reply:
            return
        if reply != expectation.reply:
            request = b" ".join(expectation.request)
            raise self.broken(f"caller {name} asked {request!r} and got {reply!r} instead of {expectation.reply!r}")
