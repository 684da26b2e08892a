"""Slots of several requests, and requests that need no plan."""

import pytest

from quorate.trusted.protocols.redis.base import Command, Refusal, Transform, Treatment
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.plan import plain, together
from tests.trusted.redis.conversation import words
from tests.trusted.redis.support import NotingDialect, call_of, session_of


def test_several_requests_share_a_slot_and_yield_as_many_frames() -> None:
    session = session_of(NotingDialect(), database=2, protocol=3)
    span = together(session, [[b"TYPE", b"a"], [b"TYPE", b"b"]], False, Transform())
    assert (words(span.requests[0]), span.frames, span.mode) == ("TYPE a; TYPE b", 2, session.mode)
    assert span.owner is None
    assert not span.is_write


def test_a_plain_request_is_the_clients_own_unless_it_wants_no_reply() -> None:
    session = session_of(NotingDialect())
    call = call_of(session, [b"SPOP", b"k", b"0"])
    assert plain(call, call.raw).owner is session.client
    session.is_silent = True
    assert plain(call, call.raw).owner is None
    assert plain(call, call.raw).is_write


def test_what_replicas_do_not_know_may_go_in_another_form_only() -> None:
    call = call_of(session_of(NotingDialect()), [b"SPOP", b"k", b"0"])
    call.command = Command("spop", -2, "w", Treatment.PLANNED, (1, 1, 1))
    call.command.is_foreign = True
    assert words(plain(call, encode_request([b"SCARD", b"k"])).requests[0]) == "SCARD k"
    with pytest.raises(Refusal, match="quorate refuses SPOP with these arguments"):
        plain(call, call.raw)
