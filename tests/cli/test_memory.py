"""How many heaps the threads of a process get."""

import subprocess
import sys

SCRIPT = """
import ctypes, pathlib, sys, threading
from app.cli.memory import few_heaps
if sys.argv[1] == "few":
    few_heaps()
together = threading.Barrier(8)

def take():
    ctypes.CDLL(None).malloc(1000)
    together.wait()

threads = [threading.Thread(target=take) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
reserved = 0  # of each heap beside the first 64 MiB are, of which nothing is used yet
for line in pathlib.Path("/proc/self/maps").read_text().splitlines():
    first, last = (int(end, 16) for end in line.split()[0].split("-"))
    reserved += line.split()[1] == "---p" and 60 << 20 < last - first < 64 << 20
print(reserved)
"""


def heaps(which: str) -> int:
    return int(subprocess.run([sys.executable, "-c", SCRIPT, which], check=True, capture_output=True, text=True).stdout)


def test_threads_share_two() -> None:
    assert heaps("few") == 1  # beside the first
    assert heaps("as it is") > 2
