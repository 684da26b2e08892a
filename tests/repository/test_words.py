"""What the project's files must not say: paths of one machine, registries, what belongs to nobody but their author."""

import re

from tests.repository.sources import ROOT, name_of, text_files

# The bracketed letters keep this file from containing what it looks for.
FORBIDDEN = {
    r"(?<![\w./])/([r]oot|[w]ork|[h]ome/\w+|[U]sers/\w+)/": "an absolute path of one machine",
    r"[s]hared/(?!object|memory)": "a folder outside the project",
    r"[p]ypi\.org|[f]iles\.pythonhosted|--[e]xtra-index|--[i]ndex-url|--[f]ind-links": "a package registry",
    r"\b[T]ODO\b|\b[F]IXME\b|\b[X]XX\b": "work left over: do it, or write an issue",
    r"<<<<<<[<] |>>>>>>[>] ": "an unresolved merge",
    r"\bapt [i]nstall\b": "another form of apt-get install, which all other hints use",
}


def test_no_file_says_what_belongs_elsewhere() -> None:
    found = []
    for path in text_files():
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            found += [
                f"{name_of(path)}:{number}: {why}: {line.strip()[:100]}"
                for pattern, why in FORBIDDEN.items()
                if re.search(pattern, line)
            ]
    assert found == []


def test_no_built_file_lies_beside_the_sources() -> None:
    """A compiled module there would be imported instead of its source, unseen (docs/adr/0002-mypyc.md)."""
    assert [name_of(path) for path in (ROOT / "src").rglob("*.so")] == []
