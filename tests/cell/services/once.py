"""A service that starts once in each seat, and never again. Started by tests alone.

    python once.py STORE SOCKET DIRECTORY

A replica that follows another one in its seat is told by its directory, whose name ends in a number.
"""

import os
import re
import sys
from pathlib import Path

if __name__ == "__main__":
    store, socket, directory = sys.argv[1:]
    if re.search(r"-\d+$", Path(directory).name):
        sys.exit("this service starts once")
    os.execv(sys.executable, [sys.executable, "-m", store, "--socket", socket])
