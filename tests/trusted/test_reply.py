from quorate.trusted.client import Client
from quorate.trusted.reply import Reply
from quorate.trusted.span import Announcement


def client_asking(slots: int) -> Client:
    client = Client(1, "test")
    client.asked = slots
    return client


def test_replies_collect_for_one_write_and_the_client_is_ready_once() -> None:
    reply, client = Reply(), client_asking(3)
    reply.release(client, b"a", 1)
    reply.release(client, b"bc", 2)
    assert client.out == [b"a", b"bc"]
    assert reply.ready == [client]
    assert client.pending == 0


def test_the_coordinators_answer_waits_for_the_slots_before_it() -> None:
    reply, client = Reply(), client_asking(1)
    reply.answer(client, b"pong")
    client.asked += 1
    reply.answer(client, b"bye")
    assert client.out == []
    assert client.pending == 4, "two slots, and two answers held behind them"
    reply.release(client, b"1", 1)
    assert client.out == [b"1", b"pong"]
    reply.release(client, b"2", 1)
    assert client.out == [b"1", b"pong", b"2", b"bye"]


def test_with_nothing_before_it_an_answer_goes_at_once() -> None:
    reply, client = Reply(), client_asking(0)
    reply.answer(client, b"pong")
    assert client.out == [b"pong"]


def test_a_connection_ends_after_all_that_it_is_owed() -> None:
    reply, client = Reply(), client_asking(2)
    reply.close(client)
    endings = [client.is_closing]
    for data in (b"1", b"2"):
        reply.release(client, data, 1)
        endings.append(client.is_closing)
    assert endings == [False, False, True]
    assert client.out == [b"1", b"2"]
    assert reply.ready == [client]


def test_a_connection_with_nothing_owed_ends_at_once_and_hears_nothing_later() -> None:
    reply, client = Reply(), client_asking(0)
    reply.close(client)
    reply.answer(client, b"late")
    assert client.is_closing
    assert client.out == []
    assert reply.ready == [client]


def test_who_is_gone_is_told_nothing_but_its_slots_are_counted() -> None:
    reply, client = Reply(), client_asking(2)
    reply.close(client)
    client.is_gone = True
    reply.release(client, b"ab", 2)
    assert client.pending == 0
    assert client.out == []
    assert reply.ready == []


def test_what_is_announced_stands_before_later_replies_and_waits_for_none() -> None:
    reply, client, other = Reply(), client_asking(1), client_asking(0)
    reply.release(client, b"1", 1)
    client.asked += 1
    reply.announce(Announcement(1, [(client, b"news"), (other, b"news")]))
    reply.release(client, b"2", 1)
    assert client.out == [b"1", b"news", b"2"]
    assert other.out == [b"news"]
    assert reply.ready == [client, other]


def test_an_answer_waits_for_the_announcement_before_it_and_later_ones_and_the_end_wait_behind() -> None:
    reply, client, other = Reply(), client_asking(0), client_asking(1)
    reply.answer(client, b"pong", 2)
    reply.answer(client, b"ping")
    reply.close(client)
    reply.answer(other, b"pong", 1)
    assert client.pending == 3
    reply.announce(Announcement(1, [(client, b"first")]))
    assert (client.out, client.is_closing) == ([b"first"], False)
    assert other.out == [], "the reply before it is still to come"
    reply.release(other, b"1", 1)
    assert other.out == [b"1", b"pong"]
    reply.announce(Announcement(2, []))
    assert (client.out, client.is_closing) == ([b"first", b"pong", b"ping"], True)
    reply.answer(other, b"later", 2)
    assert other.out == [b"1", b"pong", b"later"], "what was announced keeps nobody waiting"
