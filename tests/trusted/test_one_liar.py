"""A whole core with model replicas, one of which may do anything: clients hear what is right, the correct stay."""

from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.trusted.limits import Limits
from quorate.trusted.messages import Role
from quorate.trusted.protocols.redis.framing import RequestFramer
from quorate.trusted.protocols.redis.values import array, bulk, integer
from tests.trusted.support import Cell


class Replica:
    """A small correct service: counters and sets, whose members come in an order of its own (number -1: sorted)."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._framer = RequestFramer(Limits())
        self._counters: dict[bytes, int] = {}
        self._members: dict[bytes, list[bytes]] = {}
        self._is_silent = False

    def answers(self, data: bytes) -> list[bytes]:
        """Its replies to what its lane carries."""
        return [reply for request in self._framer.feed(data) if (reply := self._answer(request.arguments))]

    def _answer(self, words: list[bytes]) -> bytes:
        name = words[0].upper()
        if name == b"CLIENT":
            self._is_silent = True
            return b""
        if name in (b"HELLO", b"SELECT"):
            assert self._is_silent, "a lane's modes are switched without a reply"
            self._is_silent = False
            return b""
        if name == b"INCR":
            self._counters[words[1]] = self._counters.get(words[1], 0) + 1
            return integer(self._counters[words[1]])
        if name == b"SADD":
            members = self._members.setdefault(words[1], [])
            members.insert(self._number % (len(members) + 1), words[2])
            return integer(1)
        if name == b"SMEMBERS":
            members = self._members.get(words[1], [])
            return array(list(map(bulk, members if self._number >= 0 else sorted(members, key=bulk))))
        return bulk(b"%d" % self._counters.get(words[1], 0))


REQUESTS = st.sampled_from(["INCR a", "GET a", "SMEMBERS s", "INCR b", "GET b"])
WELL_FORMED = [b":1\r\n", b"$1\r\n0\r\n", b"*0\r\n", b"*2\r\n$1\r\n1\r\n$1\r\n0\r\n", b"-ERR no\r\n", b":1\r\n" * 300]
UNFINISHED = [b"$5\r\nab", b"+", b"*9\r\n", b"|1\r\n", b"*1\r\n|1\r\n", b"$999999999\r\n"]
LIES = st.sampled_from([*WELL_FORMED, *UNFINISHED, b"x" * 600, b"what\r\n"]) | st.binary(max_size=6)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_clients_hear_what_is_right_and_the_correct_keep_their_seats(data: st.DataObject) -> None:
    cell = Cell(reply_bytes_max=500, inflight_slots_max=20, client_pending_max=20, lag_slots_max=50)
    liar = data.draw(st.integers(0, 2), label="liar")
    model = Replica(-1)
    replicas = [Replica(seat) for seat in cell.seats]
    mail: list[list[bytes]] = [[] for _ in cell.seats]
    ann = cell.client()
    asked: list[str] = []
    heard = b""
    for step in range(data.draw(st.integers(1, 25), label="steps")):
        lines = [f"SADD s {step}", *data.draw(st.lists(REQUESTS, max_size=4))]
        asked += lines
        ann.says(*lines)
        _post(cell, replicas, mail)
        for seat in data.draw(st.lists(st.sampled_from(cell.seats), max_size=4)):
            _deliver(cell, mail, seat, liar, data)
        cell.passes(data.draw(st.sampled_from([0, 0.01, 0.3])))
        heard += ann.hears()
    for _ in range(100):
        _post(cell, replicas, mail)
        for seat in cell.seats:
            if seat != liar:
                _deliver(cell, mail, seat, liar, data)
        cell.passes(0.2)
        heard += ann.hears()
        if not (cell.core.order.inflight_slots or ann.client.inbox or any(mail[seat] for seat in cell.seats)):
            break
    expected = b"".join(model.answers(b"".join(_request(text) for text in asked)))
    assert heard == expected
    assert [cell.core.roles[seat] for seat in cell.seats if seat != liar] == [Role.VOTING] * 2
    assert cell.core.tally.split == cell.core.tally.unanswered == 0
    assert cell.core.order.inflight_slots == cell.core.order.inflight_bytes == 0


def _request(text: str) -> bytes:
    words = text.encode().split()
    return array([bulk(word) for word in words])


def _post(cell: Cell, replicas: list[Replica], mail: list[list[bytes]]) -> None:
    """What the lanes carry is answered; the answers lie in the mail until they are delivered."""
    data = cell.lanes()
    for seat in cell.seats:
        mail[seat] += replicas[seat].answers(data)


def _deliver(cell: Cell, mail: list[list[bytes]], seat: int, liar: int, data: st.DataObject) -> None:
    """The seat's mail comes, cut somewhere; the liar's is mixed with lies."""
    letters, mail[seat] = mail[seat], []
    if seat == liar and data.draw(st.integers(0, 3)) == 0:
        letters[data.draw(st.integers(0, len(letters))) :] = data.draw(st.lists(LIES, max_size=3))
    stream = b"".join(letters)
    cut = data.draw(st.integers(0, len(stream)))
    for piece in (stream[:cut], stream[cut:]):
        if piece:
            cell.core.replica_answered(seat, piece, cell.now)
