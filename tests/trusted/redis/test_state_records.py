"""Records: what is put in comes out, and what is out of the record is not read."""

import pytest

from quorate.trusted.changes import HASH, LIST, SET, STREAM, STRING, ZSET
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.state_records import Content, deadline_of, encode_record, kind_of
from quorate.trusted.protocols.redis.values import bulk

KINDS = {STRING: b"s", LIST: b"l", SET: b"S", HASH: b"h", ZSET: b"z", STREAM: b"x"}


@pytest.mark.parametrize("deadline", [b"-1", b"7", b"31556952000001"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parts", [[b"one"], [b"", b"\r\n"], [b"x" * 5_000] * 20])
def test_a_record_is_an_array_of_strings(kind: int, deadline: bytes, parts: list[bytes]) -> None:
    body = b"".join(map(bulk, parts))
    record = encode_record(kind, deadline, len(parts), body)
    assert record == encode_request([KINDS[kind], deadline, *parts])
    assert kind_of(record) == kind
    assert deadline_of(record) == int(deadline)
    content = Content(record)
    assert (content.kind, content.deadline, content.count, content.body) == (kind, deadline, len(parts), body)
    assert content.elements() == [bulk(part) for part in parts]
