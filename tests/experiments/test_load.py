"""What redis-benchmark reports is read strictly; a run that fails says why."""

import socket
import time
from pathlib import Path

import pytest

from quorate.experiments.load import Report, Setting, put_load, read_reports
from quorate.experiments.servers import redis
from quorate.trusted.errors import OperatorFault

HEADER = (
    '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"'
)
SET = '"SET","33112.59","1.321","0.696","1.199","1.807","2.015","2.135"'
GET = '"GET","20920.50","2.282","0.360","1.247","5.735","9.431","12.527"'


def test_reports_are_read_by_their_columns() -> None:
    assert read_reports([HEADER, SET, GET]) == [Report("SET", 33112.59, 1.199), Report("GET", 20920.5, 1.247)]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [HEADER],
        [HEADER, SET],
        [HEADER, GET, SET],
        [HEADER, SET, GET.replace("20920.50", "fast")],
        [HEADER, SET, GET.replace("20920.50", "0.00")],
        [HEADER, SET, '"GET"'],
        ["Could not connect", SET, GET],
    ],
)
def test_what_is_no_result_is_not_read_as_one(lines: list[str]) -> None:
    with pytest.raises(OperatorFault, match="what is no result"):
        read_reports(lines)


@pytest.mark.needs("redis-server", "redis-benchmark")
def test_a_real_run_reports_both_tests(tmp_path: Path) -> None:
    with redis(tmp_path, "redis") as port:
        reports = put_load(port, Setting("small", 2, 4, 400))
    assert [report.test for report in reports] == ["SET", "GET"]


@pytest.mark.needs("redis-benchmark")
def test_a_run_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.experiments.load.RUN_SECONDS_MAX", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(OperatorFault, match=r"took longer than 0\.3 s"):
            put_load(silent.getsockname()[1], Setting("small", 1, 1, 10))
    assert time.monotonic() - began < 30


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.experiments.programs.shutil.which", lambda name, path: None)
    with pytest.raises(OperatorFault, match="there is no program redis-benchmark") as raised:
        put_load(1, Setting("small", 1, 1, 10))
    assert raised.value.hint == "apt-get install redis-tools"
