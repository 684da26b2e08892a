"""Every external program and library that code, tests and examples use comes from packages.txt.

A machine often has a program already, so a green run alone proves no set-up.
"""

import ast
from pathlib import Path

import pytest

from tests.repository import programs
from tests.repository.packages import packages, provided
from tests.repository.sources import ROOT, name_of, python_files

# What needs no line in packages.txt, and why.
ALWAYS_THERE = {
    "python": "the interpreter of .venv, which runs all of this",
    "cat": "coreutils, essential on Debian",
    "cp": "coreutils, essential on Debian",
    "env": "coreutils, essential on Debian",
    "false": "coreutils, essential on Debian",
    "mount": "mount, required on Debian",
    "nsenter": "util-linux, essential on Debian",
    "setpriv": "util-linux, essential on Debian",
    "sh": "dash, essential on Debian",
    "sleep": "coreutils, essential on Debian",
    "timeout": "coreutils, essential on Debian",
    "true": "coreutils, essential on Debian",
    "unshare": "util-linux, essential on Debian",
    "libc.so.6": "the C library",
}
# Where program names are data, and why.
STARTS_NOTHING = {
    "src/quorate/trusted": "may not start anything: tests/trusted/test_boundary.py",
    "tests/repository": "reads the project",
    "tests/test_config.py": "its configurations are only read",
}
FILES = [
    path for path in python_files("src", "tests", "scripts") if not name_of(path).startswith(tuple(STARTS_NOTHING))
]
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
SEEN = {
    'subprocess.run(["haproxy", "-f", path])': {"haproxy"},
    'subprocess.Popen(["/usr/bin/bwrap", *flags])': {"bwrap"},
    'await asyncio.create_subprocess_exec("redis-server", "--port", "0")': {"redis-server"},
    'shutil.which("redis-cli", path=path)': {"redis-cli"},
    '@pytest.mark.needs("bwrap", "libmimalloc.so.2")\ndef test_it(): ...': {"bwrap", "libmimalloc.so.2"},
    'command = ["redis-benchmark", *arguments]': {"redis-benchmark"},
    'command = ["redis-benchmark"] + arguments': {"redis-benchmark"},
    'Recipe(program="redis-server", preload=("libfoo.so.2",))': {"redis-server", "libfoo.so.2"},
    'CONFIG = """[[variant]]\nprogram = "redis-server"\npreload = ["/usr/lib/libfoo.so"]\n"""': {
        "redis-server",
        "libfoo.so",
    },
    'subprocess.run([sys.executable, "-m", "quorate"])': set(),
    "start(place)": set(),
}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_what_code_and_tests_start_is_listed(path: Path) -> None:
    assert set(programs.named_in_code(path)) - provided() - set(ALWAYS_THERE) == set()


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_what_examples_start_is_listed(path: Path) -> None:
    assert set(programs.named_in_example(path)) - provided() - set(ALWAYS_THERE) == set()


@pytest.mark.parametrize("code", SEEN)
def test_programs_are_seen_in_code(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "tree_of", lambda path: ast.parse(code))
    assert set(programs.named_in_code(Path("example.py"))) == SEEN[code]


def test_the_list_of_packages_is_well_formed() -> None:
    names = [package.name for package in packages()]
    assert len(set(names)) == len(names)
    assert {package.group for package in packages()} <= {"demo", "test", "optional"}
    assert all(package.provides and package.why for package in packages())
