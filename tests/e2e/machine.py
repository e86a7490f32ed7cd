# SPDX-License-Identifier: GPL-2.0-only
"""Settings of the whole machine, changed for the length of a test and put back whatever happens to it."""

import contextlib
import fcntl
import json
import os
import signal
import sys

LOCK = "/run/heaptrace-tests.lock"


def read(path):
    """The text of a file of the kernel, or "" where there is none."""
    with contextlib.suppress(OSError), open(path, encoding="ascii", errors="replace") as file:
        return file.read().strip()


def write(path, value):
    with open(path, "w", encoding="ascii") as file:
        file.write(str(value))


def _put_back(file):
    """Writes back what is noted in the lock file, last change first; then empties it."""
    file.seek(0)
    for line in reversed(file.read().splitlines()):
        with contextlib.suppress(OSError, ValueError):
            path, value = json.loads(line)
            write(path, value)
    file.seek(0)
    file.truncate()


def _end(number, _):
    sys.exit(128 + number)


@contextlib.contextmanager
def settings(changes):
    """Sets {path: value}. One test of this machine at a time may: the others wait. The old values are noted in the lock
    file before anything is changed, so that even after a SIGKILL the next one puts them back."""
    fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "r+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _put_back(file)
        before = signal.signal(signal.SIGTERM, _end)  # so that a time limit unwinds too
        try:
            for path, value in changes.items():
                file.write(json.dumps([path, chosen(read(path))]) + "\n")
                file.flush()
                write(path, value)
            yield
        finally:
            _put_back(file)
            signal.signal(signal.SIGTERM, before)


def chosen(text):
    """What to write to get a setting back: of a list of choices the one in brackets."""
    for word in text.split():
        if word.startswith("[") and word.endswith("]"):
            return word[1:-1]
    return text


def counters(names, *files):
    """Lines for a failure report: the rows of /proc/vmstat that begin with one of the names, and whole files."""
    lines = [line for line in read("/proc/vmstat").splitlines() if line.startswith(tuple(names)) and not line.endswith(" 0")]
    return [", ".join(lines)] + [f"{path}: {read(path)}" for path in files]
