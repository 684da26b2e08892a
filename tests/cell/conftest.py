"""`cells`: starts cells, and sees to it that none outlives its test, whatever that test did."""

from collections.abc import Callable, Iterator

import pytest

from tests.cell.support import Document, RunningCell
from tests.domains.harness import short_directory

MakeCell = Callable[[Document], RunningCell]


@pytest.fixture
def cells() -> Iterator[MakeCell]:
    """Prepares a cell from a configuration; start it yourself. Its log is shown when the test fails."""
    made: list[RunningCell] = []
    with short_directory() as directory:

        def make(document: Document) -> RunningCell:
            home = directory / str(len(made))
            home.mkdir(mode=0o755)
            made.append(RunningCell(home, document))
            return made[-1]

        try:
            yield make
        finally:
            for cell in made:
                cell.close()
                print(f"--- log of {cell.home}\n{cell.log()}")  # noqa: T201 - pytest shows it with a failure
