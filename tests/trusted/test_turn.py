"""When a turn sends: at its end, or at once where nothing could gather."""

from collections.abc import Callable

from quorate.trusted.turn import Turn
from tests.trusted.support import Cell


class Loop:
    """A loop's clock and its list of what is to be called, in the test's hands."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.soon: list[Callable[[], None]] = []
        self.sent_at: list[int] = []
        self.turn = Turn(cell.core, lambda: cell.now, self.soon.append, self._send)

    def _send(self) -> None:
        self.turn.is_scheduled = False
        self.sent_at.append(self.cell.now)

    def ends(self) -> None:
        """The turn ends."""
        soon, self.soon[:] = list(self.soon), []
        for call in soon:
            call()


def test_time_stands_still_in_a_turn_that_ends_with_sending() -> None:
    loop = Loop(Cell())
    begun = loop.turn.now()
    loop.cell.now += 5
    assert loop.turn.now() == begun + 5
    loop.turn.schedule()
    loop.cell.now += 5
    assert loop.turn.now() == begun + 5
    loop.ends()
    assert loop.turn.now() == begun + 10


def test_clients_are_read_at_the_time_that_it_is_and_time_never_runs_backwards() -> None:
    loop = Loop(Cell())
    begun = loop.turn.read_at()
    loop.turn.schedule()
    loop.cell.now += 5
    assert loop.turn.now() == begun
    assert loop.turn.read_at() == begun + 5
    assert loop.turn.now() == begun + 5


def test_however_often_it_is_asked_for_a_turn_sends_once() -> None:
    loop = Loop(Cell())
    loop.turn.schedule()
    loop.turn.schedule()
    loop.turn.send_soon(0)
    assert loop.sent_at == []
    loop.ends()
    assert len(loop.sent_at) == 1


def test_one_client_alone_is_served_at_once() -> None:
    loop = Loop(Cell())
    loop.cell.client().says("GET a")
    loop.turn.send_soon(1)
    assert (len(loop.sent_at), loop.soon) == (1, [])


def test_where_more_is_under_way_the_turns_end_is_waited_for() -> None:
    loop = Loop(Cell())
    loop.cell.client().says("GET a", "GET b")
    loop.turn.send_soon(1)
    assert (loop.sent_at, len(loop.soon)) == ([], 1)


def test_after_a_turn_with_several_clients_the_turns_end_is_waited_for() -> None:
    loop = Loop(Cell())
    loop.turn.is_busy = True
    loop.turn.send_soon(1)
    assert (loop.sent_at, len(loop.soon)) == ([], 1)


def test_a_replicas_answer_is_sent_on_only_once_it_decides() -> None:
    loop = Loop(Cell())
    loop.cell.client().says("GET a")
    loop.cell.core.distribute.take()
    for seat in range(2):
        assert loop.sent_at == []
        assert not loop.turn.answered(seat, b"$-1\r\n", loop.turn.now())
        loop.turn.send_if_any(loop.turn.now(), is_any_paused=False)
    assert len(loop.sent_at) == 1


def test_what_is_scheduled_is_not_sent_before_the_turns_end() -> None:
    loop = Loop(Cell())
    loop.turn.schedule()
    loop.turn.send_if_any(loop.turn.now(), is_any_paused=True)
    assert loop.sent_at == []


def test_a_paused_lane_is_looked_at_whenever_a_replica_answers() -> None:
    loop = Loop(Cell())
    loop.turn.send_if_any(loop.turn.now(), is_any_paused=True)
    assert len(loop.sent_at) == 1


def test_a_replica_far_ahead_is_to_be_read_no_more() -> None:
    loop = Loop(Cell(reply_bytes_max=100))
    loop.cell.client().says("GET a")
    assert loop.turn.answered(0, b"$200\r\n" + b"x" * 150, loop.turn.now())
