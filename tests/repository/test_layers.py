"""The layers of ARCHITECTURE.md hold: the contracts in pyproject.toml are kept."""

import os
import subprocess
import sys
from pathlib import Path

from tests.repository.sources import ROOT


def test_the_import_contracts_are_kept() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
