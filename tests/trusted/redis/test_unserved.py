"""Commands that some variant does not know: what stands on the lane for each, and what is refused therefore."""

import shlex

import pytest
from redis.lock import Lock

from quorate.trusted.errors import BrokenInvariant
from quorate.trusted.protocols.redis.base import Settings, Treatment
from quorate.trusted.protocols.redis.unserved import FORMS, on_lanes, refused
from tests.trusted.redis.conversation import Conversation, Talker, words
from tests.trusted.redis.support import TABLE

# Requests that show the forms that a command may take, by line; all others are shown by one of the right length. What
# is written after them has another command take its turn.
SAMPLES = """
blmove l m LEFT RIGHT 0; rpush l x
blmpop 0 1 l LEFT; blmpop 0 2 l LEFT
blpop l 0
brpop l m 0
brpoplpush l m 0; rpush l x
bzmpop 0 1 z MIN; bzmpop 0 x z MIN
bzpopmax z 0
bzpopmin z 0
copy a b; copy a b DB 1 REPLACE
evalsha c3f8721cbb97f72bc19e972846bd7aaf91901658 1 lock token
evalsha_ro c3f8721cbb97f72bc19e972846bd7aaf91901658 1 lock token
expire k 10; expire k x; expire k -1; expire k 10 NX
expireat k 9999999999; expireat k x
getex k; getex k EX 10; getex k PXAT 1; getex k EX x
hrandfield h; hrandfield h 2 WITHVALUES; hrandfield h 0; hrandfield h x
hscan h 0; hscan h 0 COUNT 0
pexpire k 10; pexpire k x
psetex k 10 v; psetex k x v
scan 0; scan 0 TYPE set; scan 0 COUNT x
set k v; set k v EX 10; set k v EX x; set k v NX PXAT 9999999999999
setex k 10 v; setex k x v
sort l; sort l ALPHA; sort l BY nosort; sort l BY w_* ALPHA; sort l STORE m; sort l LIMIT
sort_ro l; sort_ro l ALPHA; sort_ro l BY nosort
spop s; spop s 2; spop s 0; spop s x
srandmember s; srandmember s -2; srandmember s 0; srandmember s 1 2
sscan s 0; sscan s 0 TYPE x
xadd x * f v; xadd x 1-1 f v; xadd x MAXLEN '~' 10 * f v
xautoclaim x g c 0 0
xclaim x g c 0 1-1
xinfo stream x
xpending x g
xread STREAMS x 0; xread BLOCK 0 STREAMS x 0; xread BLOCK 0 STREAMS y $
xreadgroup GROUP g c STREAMS x >; xreadgroup GROUP g c BLOCK 0 STREAMS x >; xadd x 1-1 f v
xtrim x MAXLEN '~' 10
zadd z 1 a; zadd z -0 a; zadd z INCR -0 a
zincrby z -0 a
zinterstore y 2 z z WEIGHTS 1 2
zlexcount z - +
zrandmember z; zrandmember z 2 WITHSCORES; zrandmember z 0
zrange z 0 -1; zrange z - + BYLEX; zrange z 0 9 BYSCORE
zrangebylex z - +
zrevrangebylex z + -
zscan z 0; zscan z 0 COUNT x
zunionstore y 1 z
"""
LINES = [line.split("; ") for line in SAMPLES.strip().splitlines()]
LINES += [[f"{name} {shlex.quote(Lock.LUA_RELEASE_SCRIPT)} 1 lock token"] for name in ("eval", "eval_ro")]
# What replicas say, so that plans go on; the rest is answered with a number.
LATER = "-ERR_The_ID_specified_in_XADD_is_equal_or_smaller_than_the_target_stream_top_item"
SAID = {
    "smembers": "*2 $1 a $1 b",
    "hgetall": "*2 $1 a $1 b",
    "keys": "*1 $1 a",
    "type": "+set",
    "zrange": "*2 $1 a $1 1",
    "lmpop": "*-1",
    "zmpop": "*-1",
    "lmove": "$-1",
    "rpoplpush": "$-1",
    "xread": "*-1",
    "xreadgroup": "*-1",
    "xadd": LATER,
    "xinfo|stream": "-ERR_no_such_key",
}


def name_on_lane(line: str) -> str:
    """The command that this request on a lane is, with its subcommand."""
    first, *rest = line.strip().split(" ")
    command = TABLE[first.upper().encode()]
    return f"{first}|{rest[0]}".lower() if command.subcommands else first.lower()


def asked(talk: Conversation, talker: Talker, line: str) -> list[str]:
    """The requests that come to the replicas for this one."""
    talker.says(line.strip())
    found: list[str] = []
    while talk.spans and len(found) < 50:
        parts = words(talk.spans[0].requests[0]).split("; ")
        found += parts
        replies = [SAID.get(name_on_lane(part), ":1") for part in parts]
        talk.decide(b"".join(line.replace(" ", "\r\n").replace("_", " ").encode() + b"\r\n" for line in replies))
    return found


def conversation_about(name: str) -> list[str]:
    """Requests of this command."""
    for lines in LINES:
        if name_on_lane(lines[0]) == name:
            return lines
    container, _, subcommand = name.partition("|")
    row = TABLE[container.encode()]
    row = row.subcommands[subcommand.upper().encode()] if subcommand else row
    return [" ".join([*name.split("|"), *["1"] * (abs(row.arity) - 1 - bool(subcommand))])]


@pytest.mark.parametrize("name", on_lanes())
def test_what_comes_to_replicas_is_what_is_said(name: str) -> None:
    said = FORMS.get(name, (name,))
    talk = Conversation()
    seen: dict[str, None] = {}
    for line in conversation_about(name):
        # Each is from a client of its own: one that waits would hold up the others.
        for request in asked(talk, talk.client(), line):
            # What goes as it came is looked at when it goes: another test.
            if shlex.split(request) != shlex.split(line):
                seen[name_on_lane(request)] = None
    assert [shown for shown in seen if shown not in said] == []
    if name in FORMS:
        assert [form for form in said if form not in seen and form != name] == []


def test_nothing_is_refused_where_all_is_known() -> None:
    assert refused(frozenset()) == []
    assert [name for name in FORMS if name not in on_lanes()] == []


def test_what_a_command_becomes_must_be_known_too() -> None:
    assert refused(frozenset(("lmpop",))) == ["blmpop", "blpop", "brpop", "lmpop"]
    assert refused(frozenset(("blpop", "scan", "xgroup|create"))) == ["xgroup|create"]


def restricted(*names: str, is_mixed: bool = False) -> Conversation:
    return Conversation(settings=Settings(unserved=frozenset(names), is_mixed=is_mixed))


LCS_REFUSED = b"-ERR quorate refuses LCS: a variant of this cell does not know it\r\n"


def test_a_command_that_is_not_known_is_refused_by_name() -> None:
    talk = restricted("lcs", "xgroup|create", "set")
    client = talk.client()
    assert client.says("LCS a b").hears() == LCS_REFUSED
    assert client.says("lcs a b").hears() == LCS_REFUSED
    assert client.says("LCS a").hears() == b"-ERR wrong number of arguments for 'lcs' command\r\n"
    assert client.says("SET k v").hears().startswith(b"-ERR quorate refuses SET: a variant")
    assert client.says("XGROUP CREATE x g 0").hears().startswith(b"-ERR quorate refuses XGROUP CREATE: a variant")
    assert talk.spans == []
    client.says("XGROUP DESTROY x g", "GET k")
    assert talk.waiting() == ["XGROUP DESTROY x g", "GET k"]


def test_a_transaction_with_it_is_broken() -> None:
    talk = restricted("lcs")
    client = talk.client().says("MULTI", "LCS a b", "EXEC")
    assert client.hears() == b"+OK\r\n" + LCS_REFUSED + (
        b"-EXECABORT Transaction discarded because of previous errors.\r\n"
    )
    assert talk.spans == []


@pytest.mark.parametrize("line", ["SPOP s 0", "SCAN 0 COUNT 0", "HSCAN h 0 COUNT x", "SRANDMEMBER s 0"])
def test_what_would_go_as_it_came_is_refused(line: str) -> None:
    name = line.split(maxsplit=1)[0]
    talk = restricted(name.lower())
    expected = f"-ERR quorate refuses {name} with these arguments: a variant of this cell does not know it\r\n".encode()
    assert talk.client().says(line).hears() == expected
    assert talk.spans == []


def test_in_another_form_it_is_served() -> None:
    talk = restricted("srandmember", "spop")
    client = talk.client().says("SRANDMEMBER s", "SPOP s")
    assert talk.waiting() == ["SMEMBERS s", "SMEMBERS s"]
    talk.decide(b"*1\r\n$1\r\na\r\n")
    assert client.hears() == b"$1\r\na\r\n"


def test_inside_exec_it_is_its_own_result() -> None:
    talk = restricted("srandmember")
    client = talk.client().says("MULTI", "SRANDMEMBER s 0", "GET k", "EXEC")
    assert talk.waiting() == ["MULTI; PING; GET k; EXEC"]
    talk.decide(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+PONG\r\n$-1\r\n")
    refusal = b"-ERR quorate refuses SRANDMEMBER with these arguments: a variant of this cell does not know it\r\n"
    assert client.hears().endswith(b"*2\r\n%b$-1\r\n" % refusal)


def test_clients_scripts_need_variants_that_run_them() -> None:
    with pytest.raises(BrokenInvariant):
        Settings(scripts=frozenset((b"digest",)), unserved=frozenset(("eval",)))


def test_only_a_mixed_cell_looks_at_weights() -> None:
    for talk in (restricted("lcs"), restricted("zunionstore", is_mixed=True)):
        talk.client().says("ZINTERSTORE y 1 z WEIGHTS 2")
        assert talk.waiting() == ["ZINTERSTORE y 1 z WEIGHTS 2"]
    alike = restricted("lcs")
    alike.client().says("ZUNIONSTORE y 1 z WEIGHTS -1")
    assert alike.waiting() == ["ZUNIONSTORE y 1 z WEIGHTS -1"]
    mixed = restricted("lcs", is_mixed=True)
    refusal = mixed.client().says("ZUNIONSTORE y 1 z WEIGHTS -1").hears()
    assert refusal.startswith(b"-ERR quorate refuses ZUNIONSTORE with a weight below 1: ")
    unknown = restricted("zunionstore", is_mixed=True)
    assert unknown.client().says("ZUNIONSTORE y 1 z").hears().startswith(b"-ERR quorate refuses ZUNIONSTORE: a variant")


def test_one_cells_table_is_not_anothers() -> None:
    restricted("get")
    talk = Conversation()
    talk.client().says("GET k")
    assert talk.waiting() == ["GET k"]
    assert TABLE[b"get"].treatment is Treatment.PLAIN
