"""The simulator's runs are shared among as many processes as there are processors.

    @pytest.mark.farmed(job=job)

The work of such a test is `job`, called with the test's parameters, in another process; `outcome()` waits for it,
returns what it returns, and raises what it raised. All that was selected is begun at once, in the order of the tests.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import pytest

from tests.sim.planted import compiled


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "farmed(job=…): it does the work of this test, in another process")


@pytest.fixture(scope="session")
def farm(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Any]]]:
    """What is under way, by test."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    marked = [(item, item.get_closest_marker("farmed")) for item in items]
    # Forked: what is loaded here, be it compiled, is what runs there.
    forking = multiprocessing.get_context("fork")
    workers = len(os.sched_getaffinity(0))
    with compiled(), ProcessPoolExecutor(workers, forking, _end_with, (os.getpid(),)) as pool:
        try:
            yield {
                item.nodeid: pool.submit(marker.kwargs["job"], *_parameters(item))
                for item, marker in marked
                if marker is not None
            }
        finally:
            pool.shutdown(cancel_futures=True)


def _parameters(item: pytest.Function) -> list[Any]:
    return list(item.callspec.params.values()) if hasattr(item, "callspec") else []


def _end_with(parent: int) -> None:
    """Whoever works here ends when nobody waits for it any more, however that came about."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@pytest.fixture
def outcome(request: pytest.FixtureRequest, farm: dict[str, Future[Any]]) -> Callable[[], Any]:
    """What the work of this test comes to."""
    return farm[request.node.nodeid].result
