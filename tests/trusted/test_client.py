from quorate.trusted.client import Client


def test_a_new_client_is_owed_nothing() -> None:
    client = Client(7, "10.0.0.1:5000")
    assert (client.number, client.address, client.pending) == (7, "10.0.0.1:5000", 0)
    assert [client.is_gone, client.is_closing, client.is_waiting] == [False] * 3


def test_answers_held_behind_a_slot_count_as_pending() -> None:
    client = Client(1, "test")
    client.asked, client.answered = 5, 3
    client.held.append((5, 0, b"+PONG\r\n"))
    assert client.pending == 3
