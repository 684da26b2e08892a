"""A service whose every replica but the first in its seat waits for a file before it starts. Started by tests alone.

python patient.py STORE FILE SOCKET DIRECTORY
"""

import os
import re
import sys
import time
from pathlib import Path

WAIT_SECONDS = 0.01

if __name__ == "__main__":
    store, file, socket, directory = sys.argv[1:]
    is_first = re.search(r"-\d+$", Path(directory).name) is None
    while not is_first and not Path(file).exists():
        time.sleep(WAIT_SECONDS)
    os.execv(sys.executable, [sys.executable, "-m", store, "--socket", socket])
