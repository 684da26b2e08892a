"""Compiles trusted/, and what feeds replicas, with mypyc (docs/adr/0002-mypyc.md).

The build goes into the interpreter's `quorate_compiled` directory.

    scripts/compile_trusted.py [--force]

Does nothing when the build is of exactly these sources, or was tried with them and failed. A build that fails, or does
not import, is a warning: everything works as pure Python too. `--force` tries again.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from quorate import compiled  # noqa: E402 - the sources of this checkout, installed or not

# What stays interpreted, and why. All other sources of a build are compiled.
INTERPRETED = {
    "__init__.py": "packages hold no code",
    "errors.py": "other modules derive errors of their own from these, which native classes do not allow",
    "shell.py": "its time goes to sockets and the event loop, which look for methods that plain classes have",
    "limits.py": "its fields are read by name, with __slots__, which native classes lack",
    "table.py": "one long tuple, read once: compiling it takes longer than all else",
    "messages.py": "frozen dataclasses with slots, which native classes are not; made for facts, never for data",
}

BUILD = """
import sys
from setuptools import setup
from mypyc.build import mypycify
target, lib, *sources = sys.argv[1:]
setup(
    name="quorate_compiled",
    ext_modules=mypycify(sources, opt_level="2", debug_level="0", multi_file=True, target_dir=target),
    script_args=["--quiet", "build_ext", "--build-lib", lib, "--build-temp", target],
)
"""


def sources() -> list[Path]:
    """The files to compile, relative to `src`."""
    return [path.relative_to(ROOT / "src") for path in compiled.sources() if path.name not in INTERPRETED]


def build(work: Path) -> dict[str, str]:
    """Compile below `work`; returns the extension files by module name, relative to `work / "lib"`."""
    environment = {**os.environ, "MYPYPATH": str(ROOT / "src"), "MYPY_CACHE_DIR": str(work / "cache")}
    command = [sys.executable, "-c", BUILD, str(work / "c"), str(work / "lib"), *map(str, sources())]
    subprocess.run(command, cwd=ROOT / "src", env=environment, check=True, capture_output=True, text=True)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    files = sorted(path.relative_to(work / "lib") for path in (work / "lib").rglob(f"*{suffix}"))
    return {".".join(file.parts).removesuffix(suffix): str(file) for file in files}


def install(work: Path, modules: dict[str, str], fingerprint: str) -> None:
    """Put what `build` made of the sources of this fingerprint, or its absence, where `quorate.compiled` looks."""
    directory = compiled.build_directory()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    if modules:
        shutil.copytree(work / "lib", directory, dirs_exist_ok=True)
    manifest = {"fingerprint": fingerprint, "modules": modules}
    (directory / compiled.MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def probe() -> None:
    """Import every compiled module in a process of its own, as the `quorate` command would."""
    names = [name for name in compiled.available() if name.startswith("quorate.")]
    script = f"""
import importlib
from quorate import compiled
compiled.prefer()
for name in {names!r}:
    importlib.import_module(name)
missing = set({names!r}) - set(compiled.loaded())
assert not missing, missing
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "QUORATE_PURE": ""}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)


def is_up_to_date() -> bool:
    """Whether these very sources were compiled, or tried, before."""
    try:
        manifest = json.loads((compiled.build_directory() / compiled.MANIFEST).read_text())
    except (OSError, ValueError):
        return False
    return bool(manifest["fingerprint"] == compiled.fingerprint())


def warn(reason: str) -> None:
    """Say that pure Python it is."""
    print(f"warning: nothing is compiled, all runs as pure Python, right but slower: {reason}", file=sys.stderr)


def compile_all() -> None:
    """Compile, install and probe; on any failure leave a manifest without modules, and a warning."""
    with tempfile.TemporaryDirectory(prefix="quorate-compile-") as name:
        work = Path(name)
        fingerprint = compiled.fingerprint()  # before reading them, so that an edit meanwhile makes the build stale
        try:
            install(work, build(work), fingerprint)
            probe()
        except subprocess.CalledProcessError as failure:
            install(work, {}, fingerprint)
            warn("the compiler refused\n" + failure.stdout + failure.stderr)
    print(f"setup: compiled {len(compiled.available())} modules", file=sys.stderr)


def main() -> None:
    """Compile unless that is done, impossible or known to fail."""
    if is_up_to_date() and "--force" not in sys.argv[1:]:
        return
    compiler = sysconfig.get_config_var("CC").split()[0]
    if shutil.which(os.environ.get("CC", compiler)) is None:
        warn("there is no C compiler")
        return
    compile_all()


if __name__ == "__main__":
    main()
