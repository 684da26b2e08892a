"""What the docs point at exists: links between files and headings, and files named in passing."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repository.sources import ROOT, name_of, text_files

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# A path from the project's root, as prose and comments name it.
NAMED = re.compile(r"(?<![\w./-])(?:docs|examples|scripts|src|tests|requirements)/[\w./-]*\w\.(?:md|py|toml|txt)\b")


def anchor_of(heading: str) -> str:
    """The anchor that a heading gets: lower case, spaces as dashes, no other punctuation."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors_of(page: Path) -> set[str]:
    return {anchor_of(heading) for heading in HEADING.findall(FENCE.sub("", page.read_text()))}


def broken_links(page: Path) -> Iterator[str]:
    for match in LINK.finditer(FENCE.sub("", page.read_text())):
        target, _, anchor = match["target"].partition("#")
        if "://" in target:
            continue
        place = (page.parent / target).resolve() if target else page
        if not place.is_relative_to(ROOT) or not place.exists():
            yield f"{match['target']}: no such file in the project"
        elif anchor and anchor not in anchors_of(place):
            yield f"{match['target']}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_every_file_named_in_passing_exists() -> None:
    """In comments too: a file that moved leaves no wrong pointer behind."""
    files = [path for path in text_files() if path.name != "CHANGELOG.md" and path != Path(__file__).resolve()]
    lost = {
        f"{name_of(path)}: {named}"
        for path in files
        for named in NAMED.findall(path.read_text())
        if not (ROOT / named).exists()
    }
    assert sorted(lost) == []


def test_a_link_that_leads_nowhere_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.repository.test_links.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`: three\n[a](#one-two-three) [b](#two) [c](other.md) [d](page.md) [e](../out.md) [f](https://x)"
    )
    assert [problem.split(":")[0] for problem in broken_links(page)] == ["#two", "other.md", "../out.md"]
