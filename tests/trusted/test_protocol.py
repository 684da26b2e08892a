"""The seam has no behaviour of its own: a protocol that leaves something out is found at its first use."""

from collections.abc import Callable

import pytest

from quorate.trusted.client import Client
from quorate.trusted.protocol import Protocol, Scanner
from quorate.trusted.span import Span

CLIENT = Client(1, "test")
SPAN = Span(None, [b"a"], 0, is_write=False)


class Unfinished(Protocol):
    """A protocol that leaves everything out."""


class Blind(Scanner):
    """A scanner that leaves everything out."""


@pytest.mark.parametrize(
    "use",
    [
        Unfinished().scanner,
        Unfinished().probe,
        lambda: Unfinished().memory_measured(True),
        lambda: Unfinished().journal_measured(True, True),
        Unfinished().setup,
        lambda: Unfinished().is_refusal(b"-ERR"),
        lambda: Unfinished().switch(0, 1),
        lambda: Unfinished().connected(CLIENT, 0),
        lambda: Unfinished().read(CLIENT, b"", 0),
        lambda: Unfinished().is_parked(CLIENT),
        lambda: Unfinished().left(CLIENT, 0),
        lambda: Unfinished().finish(SPAN, b"", 0, []),
        lambda: Unfinished().abandon(SPAN, 1, "split", 0, []),
        lambda: Unfinished().refuse(CLIENT, b"", "lost", 0),
        Unfinished().next_deadline,
        lambda: Unfinished().woken(0),
        lambda: Unfinished().read_state([]),
        lambda: Unfinished().state_asked(SPAN, 1, 1),
        lambda: Unfinished().take_state(SPAN, 1, 1, b""),
        lambda: Unfinished().count_state(0),
        lambda: Unfinished().counted(b""),
        lambda: Unfinished().list_state(0),
        lambda: Unfinished().listed(b""),
        Unfinished().extras,
        lambda: Unfinished().adopt_extras(b""),
        lambda: Unfinished().adopt_extra(b""),
        lambda: Unfinished().unknown_in(b""),
        lambda: Unfinished().learn(0, b"a", 1),
        Blind().fresh,
        lambda: Blind().scan(bytearray(), 0, 0, 1, 1),
        lambda: Blind().skip(bytearray()),
        lambda: Blind().shift(0),
    ],
)
def test_what_a_protocol_leaves_out_is_an_error(use: Callable[[], object]) -> None:
    with pytest.raises(NotImplementedError):
        use()


def test_a_scanner_begins_with_nothing_found() -> None:
    assert (Blind().end, Blind().is_garbage) == (0, False)
