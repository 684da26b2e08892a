"""Workers: modules of ours in a process of their own."""

import time
from pathlib import Path

import pytest

from quorate.experiments.worker import Worker
from quorate.trusted.errors import OperatorFault


def test_a_worker_that_fails_is_told_with_what_it_said(tmp_path: Path) -> None:
    with (
        Worker("client", "vmfit_client", ["no port"], tmp_path) as worker,
        pytest.raises(OperatorFault, match="client ended with exit code 1, and without a result\nTraceback"),
    ):
        worker.result(30.0)


def test_a_worker_that_takes_too_long_is_told_and_stopped(tmp_path: Path) -> None:
    worker = Worker("client", "vmfit_client", ["1", str(time.monotonic() + 600), "1"], tmp_path)
    with worker, pytest.raises(OperatorFault, match="client took longer than 0 s"):
        worker.result(0.0)
    assert worker.is_done
    worker.stop()
