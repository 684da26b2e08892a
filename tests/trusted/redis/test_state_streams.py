"""Streams as abstract state: clocks and tree nodes are left out, and the requests rebuild all the rest."""

import pytest

from quorate.trusted.protocols.redis.state_streams import CLAIMS_MAX, flat, restore_stream, stream_of, unflat
from quorate.trusted.protocols.redis.values import bulk, elements, payload
from tests.trusted.redis.conversation import wire, words

HEAD = "$6 length :1 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 $17 last-generated-id $3 3-1"
HEAD += " $20 max-deleted-entry-id $3 2-0 $13 entries-added :5 $23 recorded-first-entry-id $3 3-1"
ENTRIES = "$7 entries *1 *2 $3 3-1 *2 $1 f $1 v"
REPLY = f"*18 {HEAD} {ENTRIES} $6 groups *0"


def pending(identifier: str, consumer: str, time: int, count: int) -> str:
    return f"*4 ${len(identifier)} {identifier} ${len(consumer)} {consumer} :{time} :{count}"


def consumer(name: str, time: int) -> str:
    return f"*8 $4 name ${len(name)} {name} $9 seen-time :{time} $9 pel-count :0 $7 pending *0"


def group(name: str, read: str, pendings: list[str], consumers: list[str]) -> str:
    text = f"*14 $4 name ${len(name)} {name} $17 last-delivered-id $3 3-1 $12 entries-read {read} $3 lag $-1"
    text += f" $9 pel-count :{len(pendings)} $7 pending " + " ".join([f"*{len(pendings)}", *pendings])
    return text + " $9 consumers " + " ".join([f"*{len(consumers)}", *consumers])


def reply(*groups: str) -> bytes:
    return wire(f"*18 {HEAD} {ENTRIES} $6 groups " + " ".join([f"*{len(groups)}", *groups]))


def flat_words(data: bytes) -> str:
    return " ".join(payload(part).decode() for part in elements(flat(stream_of(data))))


def restored(parts: str) -> list[str]:
    return [words(raw) for raw in restore_stream(b"k", unflat([part.encode() for part in parts.split()]), 10_000)]


def test_clocks_and_order_leave_no_trace() -> None:
    one = reply(
        group(
            "g", ":4", [pending("10-0", "b", 111, 2), pending("3-1", "a", 222, 1)], [consumer("b", 5), consumer("a", 6)]
        ),
        group("e", "$-1", [], []),
    )
    other = reply(
        group("e", "$-1", [], []),
        group("g", ":4", [pending("3-1", "a", 9, 1), pending("10-0", "b", 8, 2)], [consumer("a", 0), consumer("b", 1)]),
    )
    assert flat(stream_of(one)) == flat(stream_of(other))
    entries = "3-1 2-0 5 1 3-1 2 f v"
    assert flat_words(one) == f"{entries} 2 e 3-1 -1 0 0 g 3-1 4 2 a b 2 3-1 a 1 10-0 b 2"


def test_a_record_s_elements_are_read_back() -> None:
    told = flat(stream_of(reply(group("g", ":4", [pending("3-1", "a", 1, 7)], [consumer("a", 1)]))))
    assert flat(unflat([payload(part) for part in elements(told)])) == told


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("$17 last-generated-id $3 3-1", "$17 last-generated-id $3 3.1"),
        ("$17 last-generated-id $3 3-1", "$17 last-generated-id $3 x-1"),
        ("$17 last-generated-id $3 3-1", "$17 last-generated-id $3 1-x"),
        ("$17 last-generated-id", "$17 lost-generated-id"),
        ("$13 entries-added :5", "$13 entries-added $1 5"),
        ("*2 $3 3-1 *2 $1 f $1 v", "*1 $3 3-1"),
        ("*4 $3 3-1 $1 a :1 :1", "*3 $3 3-1 $1 a :1"),
        ("*4 $3 3-1 $1 a :1 :1", "*4 $3 3-1 $1 a :1 $1 x"),
        ("*4 $3 3-1 $1 a :1 :1", "*4 $3 abc $1 a :1 :1"),
        ("*18", "*17"),
        ("$4 name $1 g", "$4 mane $1 g"),
    ],
)
def test_another_reply_is_no_stream(before: str, after: str) -> None:
    told = reply(group("g", ":4", [pending("3-1", "a", 1, 1)], [consumer("a", 1)]))
    changed = told.replace(wire(before), wire(after), 1)
    assert changed != told
    with pytest.raises(ValueError, match=r"identifier|missing|number|pair|pending entry|shorter"):
        stream_of(changed)


def test_entries_then_what_the_stream_remembers() -> None:
    assert restored("3-1 2-0 5 2 1-0 2 f v 3-1 4 f v g w 0") == [
        "XADD k 1-0 f v",
        "XADD k 3-1 f v g w",
        "XSETID k 3-1 ENTRIESADDED 5 MAXDELETEDID 2-0",
    ]


def test_a_stream_without_anything_comes_from_a_group_that_goes() -> None:
    assert restored("0-0 0-0 0 0 0") == [
        "XGROUP CREATE k - 0-0 MKSTREAM",
        "XGROUP DESTROY k -",
        "XSETID k 0-0 ENTRIESADDED 0 MAXDELETEDID 0-0",
    ]


def test_groups_consumers_and_what_is_pending() -> None:
    told = "9-0 0-0 9 2 1-0 2 f v 2-0 2 f v 2 g 2-0 2 2 a b 3 1-0 a 1 2-0 b 1 3-0 a 1 h 0-0 -1 0 0"
    assert restored(told) == [
        "XGROUP CREATE k g 0-0 MKSTREAM",
        "XGROUP CREATECONSUMER k g a",
        "XGROUP CREATECONSUMER k g b",
        "XGROUP CREATE k h 0-0 MKSTREAM",
        "XADD k 3-0 - -",
        "XCLAIM k g a 0 3-0 RETRYCOUNT 1 FORCE JUSTID",
        "XTRIM k MAXLEN 0",
        "XSETID k 0-0",
        "XADD k 1-0 f v",
        "XADD k 2-0 f v",
        "XCLAIM k g a 0 1-0 RETRYCOUNT 1 FORCE JUSTID",
        "XCLAIM k g b 0 2-0 RETRYCOUNT 1 FORCE JUSTID",
        "XSETID k 9-0 ENTRIESADDED 9 MAXDELETEDID 0-0",
        "XGROUP SETID k g 2-0 ENTRIESREAD 2",
        "XGROUP SETID k h 0-0 ENTRIESREAD -1",
    ]


def test_a_last_identifier_below_the_largest_deleted_one_is_set_alone() -> None:
    assert restored("5-0 9-0 1 1 1-0 2 f v 0")[1:] == ["XSETID k 9-0 ENTRIESADDED 1 MAXDELETEDID 9-0", "XSETID k 5-0"]


def test_many_pending_take_several_requests() -> None:
    identifiers = [b"%d-0" % number for number in range(1, 3_000)]
    parts = [b"2999-0", b"0-0", b"1", b"0", b"1", b"g", b"0-0", b"0", b"1", b"a", b"2999"]
    parts += [part for identifier in identifiers for part in (identifier, b"a", b"1")]
    claims = [words(raw) for raw in restore_stream(b"k", unflat(parts), 100_000) if b"XCLAIM" in raw]
    assert [claim.count("-0") for claim in claims] == [*[CLAIMS_MAX] * (2_999 // CLAIMS_MAX), 2_999 % CLAIMS_MAX]
    assert all(len(bulk(claim.encode())) < 100_000 for claim in claims)
