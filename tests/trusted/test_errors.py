import pytest

from quorate.trusted.errors import BrokenInvariant, ClientFault, OperatorFault, QuorateError, invariant


def test_each_error_says_who_erred() -> None:
    assert issubclass(OperatorFault, QuorateError)
    assert issubclass(ClientFault, QuorateError)
    assert issubclass(BrokenInvariant, QuorateError)


def test_an_operators_fault_carries_a_hint() -> None:
    assert OperatorFault("no such program").hint == ""
    assert OperatorFault("no such program", "install it").hint == "install it"


def test_a_clients_fault_carries_the_answer() -> None:
    fault = ClientFault(b"-ERR what \xff\r\n")
    assert fault.answer == b"-ERR what \xff\r\n"
    assert not fault.fatal
    assert str(fault).startswith("-ERR what")
    assert ClientFault(b"-ERR\r\n", fatal=True).fatal


def test_an_invariant_stops_on_our_own_error_only() -> None:
    invariant(True, "holds")
    with pytest.raises(BrokenInvariant, match="slots run backwards"):
        invariant(False, "slots run backwards")
