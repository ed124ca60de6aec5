"""How many heaps the threads of a process get, and what is given back of them."""

import subprocess
import sys

TAKING = """
import ctypes, pathlib, sys, threading
from app.core.heaps import few_heaps
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
    return int(subprocess.run([sys.executable, "-c", TAKING, which], check=True, capture_output=True, text=True).stdout)


def test_threads_share_two() -> None:
    assert heaps("few") == 1  # beside the first
    assert heaps("as it is") > 2


FREED = """
import ctypes, pathlib
from app.core.heaps import give_back

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def held():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

blocks = [libc.malloc(1000) for _ in range(50_000)]
for block in blocks:
    ctypes.memset(block, 1, 1000)
for block in blocks[:-1]:
    libc.free(block)
before = held()
give_back()
print(before - held())
"""


def test_what_is_freed_below_something_that_stands_is_given_back() -> None:
    given = subprocess.run([sys.executable, "-c", FREED], check=True, capture_output=True, text=True).stdout
    assert int(given) >= 40
