import pytest

from quorate.trusted.errors import OperatorFault
from quorate.trusted.limits import Limits


def test_the_defaults_do_not_contradict_each_other() -> None:
    assert min(Limits().positive()) > 0


def test_memory_bytes_max_alone_may_be_zero() -> None:
    assert Limits(memory_bytes_max=0).memory_bytes_max == 0
    with pytest.raises(OperatorFault, match="positive"):
        Limits(clients_max=0)


@pytest.mark.parametrize(
    ("name", "value", "relation"),
    [
        ("request_bytes_max", 65 * 1024 * 1024, "request_bytes_max <= inflight_bytes_max"),
        ("reply_bytes_max", 65 * 1024 * 1024, "reply_bytes_max <= lag_bytes_max"),
        ("request_bytes_max", 16 * 1024 * 1024 + 1, "request_bytes_max <= 16777216"),
        ("transaction_bytes_max", 16 * 1024 * 1024 + 1, "transaction_bytes_max <= 16777216"),
        ("transaction_requests_max", 32_769, "transaction_requests_max <= 32768"),
        ("client_pending_max", 1_000_000, "client_pending_max <= inflight_slots_max"),
        ("silence_ns_max", 20_000_000_000, "silence_ns_max < lag_ns_max"),
        ("attention_ns_max", 5_000_000_000, "attention_ns_max < silence_ns_max"),
    ],
)
def test_a_contradiction_names_the_relation_and_what_to_do(name: str, value: int, relation: str) -> None:
    with pytest.raises(OperatorFault, match=relation) as caught:
        Limits(**{name: value})
    assert caught.value.hint
