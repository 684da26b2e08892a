"""Which keys a write may change. Against a real server: tests/real/test_command_table.py."""

import pytest

from quorate.trusted.protocols.redis.written import written_keys
from tests.trusted.redis.support import NotingDialect, call_of, session_of


@pytest.mark.parametrize(
    ("request_", "keys"),
    [
        ("SET k v", "k"),
        ("MSET a 1 b 2", "a b"),
        ("RENAME a b", "a b"),
        ("XGROUP CREATE x g 0", "x"),
        ("LMPOP 2 a b LEFT", "a b"),
        ("BZMPOP 0 1 a MIN", "a"),
        ("EVAL text 2 a b c", "a b"),
        ("EVALSHA name 0 a", ""),
        ("EVAL text x a", ""),
        ("XREADGROUP GROUP g c streams a b > >", "a b"),
        ("XREADGROUP GROUP g c COUNT 1 NOACK", ""),
        ("SORT a BY x store b", "a b"),
        ("SORT a STORE", "a"),
        ("GEORADIUS a 1 2 3 m STORE b STOREDIST c", "a b c"),
    ],
)
def test_keys_of_one_database(request_: str, keys: str) -> None:
    call = call_of(session_of(NotingDialect()), request_.encode().split())
    assert written_keys(call.command, call.arguments) == keys.encode().split()


@pytest.mark.parametrize("request_", ["FLUSHALL", "FLUSHDB ASYNC", "SWAPDB 0 1", "MOVE k 1", "COPY a b DB 3"])
def test_what_reaches_other_databases_may_change_anything(request_: str) -> None:
    call = call_of(session_of(NotingDialect()), request_.encode().split())
    assert written_keys(call.command, call.arguments) is None
