"""A connection's state: when plain requests need no second look."""

import pytest

from quorate.trusted.client import Client
from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.session import Session, Transaction


@pytest.fixture
def session() -> Session:
    return Session(Client(1, "test"), Limits(), is_authenticated=True)


def is_ordinary(session: Session) -> bool:
    session.settle()
    return session.is_ordinary


def test_the_mode_of_a_lane_is_protocol_and_database(session: Session) -> None:
    session.database = 5
    assert session.mode == 2 << 16 | 5
    session.protocol = 3
    assert session.mode == 3 << 16 | 5


@pytest.mark.parametrize("state", ["is_muted", "skips", "is_over"])
def test_silence_and_the_end_need_a_second_look(session: Session, state: str) -> None:
    assert is_ordinary(session)
    setattr(session, state, 1)
    assert not is_ordinary(session)


def test_transactions_and_authentication_need_one(session: Session) -> None:
    session.transaction = Transaction()
    assert not is_ordinary(session)
    session.transaction = None
    session.is_authenticated = False
    assert not is_ordinary(session)
    assert not Session(Client(1, "test"), Limits(), is_authenticated=False).is_ordinary


def test_subscriptions_need_one_in_the_old_protocol(session: Session) -> None:
    session.channels[b"a"] = 1
    session.patterns[b"a"] = 1
    session.shard_channels[b"a"] = 1
    assert session.subscriptions == 3
    assert not is_ordinary(session)
    session.protocol = 3
    assert is_ordinary(session)
