"""What a lying replica may send for any kind of request is a reply like another, never an accident."""

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.trusted.client import Client
from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.dialect import RedisProtocol
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.table import commands
from quorate.trusted.span import Span
from tests.trusted.redis.test_framing import ATTRIBUTED, REPLIES

NOW = 1_000 * 10**9
# fmt: off
ARGUMENTS = (
    "k", "k v", "k f v", "k 1", "k 0 -1", "k 1 2", "1 k", "2 k l", "k 0 -1 WITHSCORES", "k 5 WITHVALUES",
    "k -5 WITHSCORES", "k 5", "k BY w_* GET # GET o_* ALPHA", "k BY w_* ALPHA LIMIT 0 5", "k BY nosort GET #",
    "k ALPHA", "k ALPHA DESC", "k BY w_*", "0 MATCH * COUNT 5", "k 0 MATCH *", "STREAM k", "STREAM k FULL",
    "GROUPS k", "BLOCK 5 STREAMS k $", "BLOCK 0 STREAMS k l $ $", "STREAMS k 0",
    "GROUP g c BLOCK 5 STREAMS k >", "k * f v", "k 0", "k l 0", "1 k LEFT", "0 1 k LEFT", "k g", "k g - + 10",
    "k g c 0 0-1", "k g c 0 0", "k v PX 50", "k v EX 10 GET", "k 10", "*", "",
)
# fmt: on


@functools.cache
def spans() -> dict[str, Span]:
    """A first slot of every request that has a form of comparison which is not byte for byte, alone and in MULTI."""
    found: dict[str, Span] = {}
    for name, command in commands().items():
        heads = [name, *(name + b" " + sub for sub in command.subcommands)]
        for words in [head.split() + text.encode().split() for head in heads for text in ARGUMENTS]:
            for protocol in (2, 3):
                if _ask([[*words]], protocol, found):
                    _ask([[b"MULTI"], [*words], [b"GET", b"a"], [b"EXEC"]], protocol, found)
    return found


_PROTOCOL = RedisProtocol(Limits(), Settings(), b"seed")


def _ask(requests: list[list[bytes]], protocol: int, found: dict[str, Span]) -> bool:
    before = len(found)
    client = Client(1, "test")
    _PROTOCOL.connected(client, NOW)
    _PROTOCOL.sessions[1].protocol = protocol
    for effect in _PROTOCOL.read(client, b"".join(map(encode_request, requests)), NOW):
        if isinstance(effect, Span) and not effect.is_exact:
            label = f"{b' '.join(requests[1 if len(requests) > 1 else 0]).decode()} in {protocol}, {len(requests)}"
            found.setdefault(label, effect)
    _PROTOCOL.left(client, NOW)
    return len(found) > before


def kinds() -> dict[tuple[str, int], list[str]]:
    """The labels of those slots, by their form and the frames of their replies."""
    found: dict[tuple[str, int], list[str]] = {}
    for label, span in spans().items():
        found.setdefault((type(span.form).__name__, span.frames), []).append(label)
    return found


def test_all_forms_are_among_them() -> None:
    assert {name for name, _ in kinds()} >= {"Unordered", "Execution", "Sorted", "Unsorted", "Information", "Tops"}


@pytest.mark.parametrize("kind", sorted(kinds()), ids=str)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_reply_has_a_canonical_form(kind: tuple[str, int], data: st.DataObject) -> None:
    span = spans()[data.draw(st.sampled_from(kinds()[kind]))]
    reply = data.draw(st.lists(REPLIES | ATTRIBUTED, min_size=span.frames, max_size=span.frames).map(b"".join))
    assert span.form is not None
    assert span.form.canonical(reply) != b"", "nothing stands for a reply over the limit"
