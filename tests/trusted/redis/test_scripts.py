"""The scripts that replicas run for the coordinator. What they do there: tests/real/test_expiry_reference.py."""

import pytest

from quorate.trusted.protocols.redis.scripts import LOCK_EXTEND, LOCK_REACQUIRE, LOCK_RELEASE, REAP, digest


@pytest.mark.parametrize(
    ("script", "name"),
    [
        (REAP, b"reap 1"),
        (LOCK_RELEASE, b"lock-release 1"),
        (LOCK_EXTEND, b"lock-extend 1"),
        (LOCK_REACQUIRE, b"lock-reacquire 1"),
    ],
)
def test_a_script_opens_with_its_name(script: bytes, name: bytes) -> None:
    assert script.startswith(b"-- quorate " + name + b": ")


def test_no_script_reads_a_clock() -> None:
    for script in (REAP, LOCK_RELEASE, LOCK_EXTEND, LOCK_REACQUIRE):
        assert not any(word in script for word in (b"'TIME'", b"'PTTL'", b"'TTL'", b"'PEXPIRE'", b"os."))


def test_a_digest_is_the_name_that_servers_give() -> None:
    assert digest(b"return 1") == b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
