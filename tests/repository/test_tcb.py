"""`make tcb` counts what it says it counts."""

from pathlib import Path

from scripts import tcb

SOURCE = '''"""A docstring
of two lines."""

# A comment.
import os  # counted once


class Thing:
    """Another docstring."""

    text = """two
lines"""

    def size(self) -> int:
        """One line."""
        return (
            # a comment inside
            os.path.getsize(self.text)
        )
'''
LOG = """import time: self [us] | cumulative | imported package
import time:       100 |        100 |   json.decoder
import time:        10 |         10 |     quorate.trusted.vote
import time:         1 |          1 |   a_module_that_nobody_has
import time:      1000 |       2000 | pytest
import time:      1000 |       2000 |   pytest._code
some other talk | 1 | rich
"""


def test_only_lines_that_hold_code_count(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(SOURCE)
    assert tcb.code_lines(tmp_path / "example.py") == 8


def test_every_file_of_trusted_is_counted_once() -> None:
    counted = [path for files in tcb.parts().values() for path in files]
    assert sorted(counted) == sorted(tcb.TRUSTED.rglob("*.py"))


def test_only_installed_packages_count_as_third_party() -> None:
    assert tcb.third_party(LOG) == ["pytest"]
