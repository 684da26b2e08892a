import pytest

from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.scores import may_hold_minus_zero, without_minus_zero
from quorate.trusted.span import Span
from tests.trusted.redis.conversation import Conversation, Talker, request_of


@pytest.mark.parametrize("zero", [b"-0", b"-0.0", b"-.0e7", b"-1e-400", b"-0x0"])
def test_minus_zero_is_made_zero_however_it_is_written(zero: bytes) -> None:
    assert without_minus_zero([b"ZADD", b"z", zero, b"m"]) == encode_request([b"ZADD", b"z", b"0", b"m"])
    assert without_minus_zero([b"zincrby", b"z", zero, b"m"]) == encode_request([b"zincrby", b"z", b"0", b"m"])


def test_options_and_members_are_no_scores() -> None:
    request = [b"ZADD", b"z", b"xx", b"CH", b"-0", b"-0", b"1", b"-0"]
    assert without_minus_zero(request) == encode_request([*request[:4], b"0", b"-0", b"1", b"-0"])
    assert without_minus_zero([b"ZADD", b"z", b"NX", b"CH"]) == encode_request([b"ZADD", b"z", b"NX", b"CH"])


@pytest.mark.parametrize("score", [b"-1", b"-inf", b"-1e-300", b"-", b"-0k"])
def test_other_scores_stay_as_they_are(score: bytes) -> None:
    assert without_minus_zero([b"ZADD", b"z", score, b"m"]) == encode_request([b"ZADD", b"z", score, b"m"])


def test_most_requests_need_no_look_at_their_scores() -> None:
    assert not may_hold_minus_zero(encode_request([b"ZADD", b"z", b"1", b"a-0"]))
    assert may_hold_minus_zero(encode_request([b"ZADD", b"z", b"-0", b"a"]))


def test_a_client_cannot_give_replicas_minus_zero_not_even_in_a_transaction() -> None:
    client = Conversation().client()
    zero = request_of("ZADD z 0 m")
    assert lane_bytes(client, request_of("ZADD z -0 m")) == zero
    assert lane_bytes(client, request_of("ZADD z -1 m")) == request_of("ZADD z -1 m")
    client.says("MULTI")
    client.says("ZADD z -0.0 m")
    assert zero in lane_bytes(client, request_of("EXEC"))


def lane_bytes(client: Talker, data: bytes) -> bytes:
    effects = client.talk.protocol.read(client.client, data, client.talk.now)
    return b"".join(request for effect in effects if isinstance(effect, Span) for request in effect.requests)
