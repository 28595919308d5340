"""Runs one command and says what it took: launch.py COMMAND...

The system's account of a process's greatest memory survives ``exec``, so it begins with the
memory of whoever started the process. This one is small and imports almost nothing: about 8 MiB,
below which no figure goes. It prints wall seconds, peak KiB, the exit status and processor
seconds; what the command prints is thrown away, its errors pass through.
"""

import os
import sys
import time

_DISCARD = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]

if __name__ == "__main__":
    started = time.perf_counter()
    pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=_DISCARD)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - started
    cpu = usage.ru_utime + usage.ru_stime
    print(seconds, usage.ru_maxrss, os.waitstatus_to_exitcode(status), cpu)
