"""Who hears what, and between which replies, is what a real server makes of the same requests in the same order.

Several clients ask in turn. The bare server has answered each request before the next one comes. The dialect decides
its slots as late as it likes, as replicas do, and each client must have been told the same bytes in the end.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from quorate.trusted.protocols.redis.framing import encode_request
from tests.real.differential import Cell
from tests.real.reference import Connection, serving
from tests.real.test_answers_reference import NUMBER

pytestmark = pytest.mark.needs("redis-server")

ROUNDS = 30
REQUESTS = 80
ASKED = """
SUBSCRIBE news|SUBSCRIBE news|SUBSCRIBE olds other|PSUBSCRIBE n*|SSUBSCRIBE shard|UNSUBSCRIBE news|UNSUBSCRIBE none
UNSUBSCRIBE olds|PUNSUBSCRIBE n*|SUNSUBSCRIBE shard|PUBLISH news hi|PUBLISH news hi|PUBLISH olds hi|SPUBLISH shard hi
GET k|GET k|SET k v|INCR n|INCR n|LPUSH k v|PING|PING hi|TTL k|SMEMBERS s|PUBSUB NUMSUB news olds|PUBSUB NUMPAT|NOPE|GET
HELLO 2|HELLO 3|HELLO 3|RESET|CLIENT REPLY SKIP|CLIENT REPLY OFF|CLIENT REPLY ON|SELECT 1
""".replace("\n", "|").strip("|").split("|")  # fmt: skip


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    directory = tmp_path_factory.mktemp("pubsub")
    with serving(directory / "lane") as lane, serving(directory / "bare") as bare:
        yield lane, bare


class Party:
    """Several clients of both."""

    def __init__(self, servers: tuple[Path, Path], clients: int, chance: Random) -> None:
        self.lane, self._control = Connection(servers[0]), Connection(servers[1])
        self.lane.ask("FLUSHALL")
        self._control.ask("FLUSHALL")
        self._chance = chance
        self.cell = Cell(self.lane)
        self.here = [self.cell.client() for _ in range(clients)]
        self.there = [Connection(servers[1]) for _ in range(clients)]
        self.asked: list[str] = []

    def asks(self, client: int, *lines: str) -> None:
        """A client asks for all this in one piece; afterwards some slots are decided."""
        self.asked += [f"{client}: {line}" for line in lines]
        data = b"".join(encode_request([word.encode() for word in line.split()]) for line in lines)
        self.there[client].send(data)
        for _ in range(2):
            # What came before the first of them is read with it, what came with it before the second.
            self._control.ask("PING")
        self.cell.perform(self.cell.protocol.read(self.here[client].client, data, self.cell.now))
        for _ in range(min(self._chance.choice((0, 0, 0, 1, 2, 30)), len(self.cell.spans))):
            self.cell.step()

    def told(self) -> list[tuple[bytes, bytes]]:
        """What both told each client."""
        for client in range(len(self.here)):
            self.asks(client, "RESET", "ECHO end")
        self.cell.settle()
        told: list[tuple[bytes, bytes]] = []
        for talker, bare in zip(self.here, self.there, strict=True):
            here = talker.hears()
            there = bare.receive_until(b"$3\r\nend\r\n")
            told.append((NUMBER.sub(rb"\1", here), NUMBER.sub(rb"\1", there)))
        return told

    def close(self) -> None:
        for connection in (self.lane, self._control, *self.there):
            connection.close()


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_each_client_is_told_what_a_real_server_tells_it(servers: tuple[Path, Path], seed: int) -> None:
    chance = Random(seed)
    with closing(Party(servers, 4, chance)) as party:
        for client in range(3):
            party.asks(client, "HELLO 3")
        for _ in range(REQUESTS):
            client = chance.randrange(4)
            lines = [chance.choice(ASKED) for _ in range(chance.choice((1, 1, 1, 2, 5)))]
            if client == 3:
                # It subscribes to nothing: in its own EXEC, Redis 7.0 would tell it messages amidst the answer.
                lines = chance.choice((["PUBLISH olds hi"], ["MULTI", "PUBLISH news 1", "PUBLISH olds 2", "EXEC"]))
            party.asks(client, *lines)
        for client, (here, there) in enumerate(party.told()):
            assert here == there, (client, party.asked)


def test_who_publishes_and_subscribes_in_one_piece_does_not_hear_itself(servers: tuple[Path, Path]) -> None:
    with closing(Party(servers, 2, Random(1))) as party:
        party.asks(0, "HELLO 3")
        party.asks(0, "PUBLISH news early", "SUBSCRIBE news", "PUBLISH news mine", "GET k", "PING")
        party.asks(1, "PUBLISH news theirs", "SUBSCRIBE news", "UNSUBSCRIBE news", "PUBLISH news late")
        party.asks(0, "UNSUBSCRIBE news", "PUBLISH news unheard")
        for here, there in party.told():
            assert here == there
        assert b"early" not in here + there
