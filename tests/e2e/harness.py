# SPDX-License-Identifier: GPL-2.0-only
"""A tiny TAP harness: cases, each run once per source; programs under observation; what they said.

Environment: HEAPTRACE and TARGET (build/heaptrace, build/target), PROGS (the workloads, build/tests/prog), SOURCES
("bpf ptrace"; by default all that work here, and bpf must work for root), OPTIONS (more options for heaptrace), CASES
(substrings of the cases to run), LOAD (1: how much work is done that is there to be much: 20 for a long run, 0.1 on an
emulator)."""

import atexit
import contextlib
import mmap
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from books import PARTS, Books, compare_points, points_of

HEAPTRACE = os.path.abspath(os.environ.get("HEAPTRACE", "build/heaptrace"))
TARGET = os.path.abspath(os.environ.get("TARGET", "build/target"))
PROGS = os.path.abspath(os.environ.get("PROGS", "build/tests/prog"))
PYTHON = os.path.realpath(sys.executable)
TIMEOUT = int(os.environ.get("E2E_TIMEOUT", "300"))
PATIENCE = max(20, TIMEOUT // 3)  # for one step of something
OPTIONS = os.environ.get("OPTIONS", "").split()
LOAD = float(os.environ.get("LOAD", "1"))

_cases = []
_caps = {}
_folder = None


def folder():
    """A private folder that is gone at the end; not on tmpfs, whose file pages count as shmem."""
    global _folder
    if _folder is None:
        _folder = tempfile.mkdtemp(prefix="heaptrace-e2e-", dir="/var/tmp")
        os.chmod(_folder, 0o755)
        atexit.register(shutil.rmtree, _folder, ignore_errors=True)
    return _folder


def new_path(suffix=""):
    new_path.count += 1
    return os.path.join(folder(), f"{new_path.count}{suffix}")


new_path.count = 0


def times(count, least=2):
    """How often something is to be done that is done @count times where LOAD is 1."""
    return max(min(count, least), round(count * LOAD))


def prog(name):
    return os.path.join(PROGS, name)


def environment(**changes):
    """That of the tests without what would change what heaptrace or the observed programs do."""
    drop = ("SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND", "LD_PRELOAD", "MALLOC_", "GLIBC_TUNABLES", "PYTHONMALLOC",
            "DEBUGINFOD_")
    env = {key: value for key, value in os.environ.items() if not key.startswith(drop)}
    env["LC_ALL"] = "C.UTF-8"
    env["CCACHE_DISABLE"] = "1"  # where gcc is ccache, the second of two runs would do nothing
    env.update({key: str(value) for key, value in changes.items() if value is not None})
    return env


class Run:
    """What one call of heaptrace has done: rc, out, err (bytes as text), and the books in its output file."""

    def __init__(self, rc, out, err, path):
        self.rc, self.out, self.err, self.path = rc, out, err, path
        self._books = None

    @property
    def books(self):
        if self._books is None:
            with open(self.path, "rb") as file:
                self._books = Books(file.read())
        return self._books

    @property
    def points(self):
        return points_of(self.out)

    def __str__(self):
        return f"status {self.rc}; stdout: {self.out[-600:]!r}; stderr: {self.err[-1500:]!r}"


def run(command, timeout=TIMEOUT, **options):
    """Runs a command to its end: a Run without books."""
    options.setdefault("env", environment())
    options.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False, **options)
    return Run(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"), None)


def observe(source, command, *options, **how):
    """heaptrace -s SOURCE -f jsonl -o FILE OPTIONS -- COMMAND, to its end."""
    path = how.pop("path", None) or new_path(".jsonl")
    done = run([HEAPTRACE, "-s", source, *OPTIONS, "-f", "jsonl", "-o", path, *options, "--", *command], **how)
    done.path = path
    return done


class Process:
    """A program that is spoken to: lines in, lines out."""

    def __init__(self, command, **options):
        options.setdefault("env", environment())
        options.setdefault("stderr", subprocess.PIPE)
        self.popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        self.pid = self.popen.pid
        self.said = ""

    def line(self):
        line = self.popen.stdout.readline().decode("utf-8", "replace")
        if not line:
            raise RuntimeError(f"process {self.pid} has ended: {self.popen.stderr.read() if self.popen.stderr else ''}")
        self.said += line
        return line

    def until(self, word):
        while self.line().strip() != word:
            pass

    def say(self, text):
        self.popen.stdin.write(text.encode() + b"\n")
        self.popen.stdin.flush()

    def ask(self, text):
        """Says a line to prog/hold and returns the reading that it answers with."""
        self.say(text)
        return points_of(self.line())[0]

    def finish(self, timeout=TIMEOUT):
        """Closes its input, waits for its end; (status, rest of stdout, stderr)."""
        out, err = self.popen.communicate(timeout=max(timeout, PATIENCE))
        self.said += out.decode("utf-8", "replace")
        return self.popen.returncode, self.said, (err or b"").decode("utf-8", "replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.popen.poll() is None:
            self.popen.kill()
        with contextlib.suppress(Exception):
            self.popen.communicate(timeout=10)


class Observer(Process):
    """heaptrace itself, running beside the test."""

    def __init__(self, source, *options, path=None, **how):
        self.path = path or new_path(".jsonl")
        super().__init__([HEAPTRACE, "-s", source, *OPTIONS, "-f", "jsonl", "-o", self.path, *options], **how)

    def attached(self, timeout=PATIENCE):
        """Waits until it watches: then its header is in the file."""
        def ready():
            if self.popen.poll() is not None:
                raise RuntimeError(f"heaptrace ended: {self.popen.returncode} {self.popen.stderr.read()!r}")
            with contextlib.suppress(FileNotFoundError), open(self.path, "rb") as file:
                return file.readline().endswith(b"\n")
            return False
        wait_until(ready, "heaptrace to attach", timeout)
        return self

    def end(self, number=signal.SIGINT, timeout=TIMEOUT):
        """Interrupts it; a Run."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        rc, out, err = self.finish(timeout)
        return Run(rc, out, err, self.path)


def wait_until(condition, what, timeout=PATIENCE):
    """Polls for something that gives no sign of itself. Ends in an error, never in a verdict."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout} s for {what}")
        time.sleep(0.01)


def _resident(pid):
    """What smaps says is resident, in bytes: exact on every kernel, and dear."""
    found, shared = {"rss": 0, "anon": 0, "shmem": 0, "swap": 0}, False
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key == "Rss":
                rss = int(value.split()[0]) * 1024
                found["rss"] += rss
            elif key == "Anonymous":
                anon = int(value.split()[0]) * 1024
                found["anon"] += anon
                found["shmem"] += rss - anon if shared else 0
            elif key == "Swap":
                found["swap"] += int(value.split()[0]) * 1024
            elif re.match("[0-9a-f]+-[0-9a-f]+ ", line):
                shared = any(word in line for word in (" /dev/zero", " /SYSV", " /memfd:", " /dev/shm/"))
    return {**found, "file": found["rss"] - found["anon"] - found["shmem"]}


def status_lags():
    """Whether VmRSS of status does not follow each page at once: so on kernels up to 6.1, and on some up to 6.16."""
    for _ in range(4):
        with mmap.mmap(-1, 64 * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
            before = status_of(os.getpid())["anon"]
            for page in range(7):
                memory[page * 4096] = 1
            if status_of(os.getpid())["anon"] - before < 7 * 4096:
                return True
    return False


def status_of(pid):
    """What /proc/PID/status says of its memory, in bytes; where that lags behind, what smaps says."""
    names = {"VmSize": "virt", "VmRSS": "rss", "RssAnon": "anon", "RssFile": "file", "RssShmem": "shmem", "VmSwap": "swap",
             "VmHWM": "peak"}
    found = {}
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key in names:
                found[names[key]] = int(value.split()[0]) * 1024
            elif key in ("State", "TracerPid", "PPid"):
                found[key] = value.split()[0]
    if "rss" in found and os.environ.get("STATUS_LAGS"):
        found.update(_resident(pid))
    return found


def _rollup(pid):
    names = {"Rss": "rss", "Anonymous": "anon", "Swap": "swap"}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as file:
        lines = [line.split() for line in file]
    return {names[key[:-1]]: int(value) * 1024 for key, value, *_ in lines if key[:-1] in names}


def is_gone(pid):
    """Whether a process has ended: a zombie, or not even that."""
    try:
        return status_of(pid)["State"] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def comm_of(pid):
    """Its name; None where it is gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().strip()
    return None


def children_of(pid):
    """The processes that it has begun and not waited for."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += [int(child) for child in file.read().split()]
    return found


def root_only(t, why):
    """Whether this is root; a skip says why it must be."""
    if os.geteuid() != 0:
        t.skip("all", f"only root can {why}")
    return os.geteuid() == 0


def _threads(pid):
    """The state of each thread and how often it has run."""
    found = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/status", encoding="utf-8", errors="replace") as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
        found[tid] = (fields["State"].split()[0], fields["voluntary_ctxt_switches"], fields["nonvoluntary_ctxt_switches"])
    return found


def stop(pid):
    """Stops every thread of a process, and returns what its files in /proc say of its memory then: {file: {part: bytes}}. A traced
    one looks stopped at each of its calls too: it has to stay so."""
    seen = {"last": None, "times": 0}

    def settled():
        now = _threads(pid)
        still = now == seen["last"] and all(state in "Tt" for state, _, _ in now.values())
        seen.update(last=now, times=seen["times"] + 1 if still else 0)
        return seen["times"] >= 5
    os.kill(pid, signal.SIGSTOP)
    wait_until(settled, f"{pid} to stop")
    status = status_of(pid)
    return {"status": {part: status[part] for part in PARTS}, "smaps_rollup": _rollup(pid)}


def unlike(ledger, at_stop):
    """Where a ledger does not close on what stop() has returned, as lines."""
    closing = ledger["closing"]
    return [f"closing {part}: {closing[part]}, {name}: {value}" for name, said in at_stop.items() for part, value in said.items()
            if closing.get(part, value) != value]


if "STATUS_LAGS" not in os.environ:
    # For the workload programs too: an empty string where status is exact.
    os.environ["STATUS_LAGS"] = ""
    os.environ["STATUS_LAGS"] = "1" if status_lags() else ""


class Tap:
    """Counts and prints results. A check that fails prints what it saw."""

    def __init__(self):
        self.count, self.failed, self.prefix = 0, 0, ""

    def ok(self, condition, name, *saw):
        self.count += 1
        print(f"{'ok' if condition else 'not ok'} {self.count} - {self.prefix}{name}".replace("#", "\\#"))
        if not condition:
            self.failed += 1
            for thing in saw:
                for line in str(thing).splitlines()[:60]:
                    print(f"#   {line[:2000]}")
        sys.stdout.flush()
        return bool(condition)

    def equal(self, got, want, name, *saw):
        return self.ok(got == want, name, f"got:  {got!r}", f"want: {want!r}", *saw)

    def none(self, problems, name, *saw):
        """Passes where the list is empty."""
        return self.ok(not problems, name, *[str(problem) for problem in problems[:12]],
                       *([f"... {len(problems)} in all"] if len(problems) > 12 else []), *(saw if problems else ()))

    def skip(self, name, reason):
        self.count += 1
        print(f"ok {self.count} - {self.prefix}{name} # SKIP {reason}")

    def balanced(self, done, name="books balance", rc=0, **allowed):
        """The exit status and every invariant of the books."""
        if not self.equal(done.rc, rc, f"{name}: status {rc}", done):
            return False
        return self.none(done.books.problems(**allowed), name, f"output: {done.path}")

    def agrees(self, done, points=None, name="readings agree with the ledger at each mark"):
        points = done.points if points is None else points
        if not points:
            return self.ok(False, name, "the program printed no readings", done)
        return self.none(compare_points(done.books, points), name)


def case(*needs, sources=None):
    """Registers function(t, source). @needs: what a source must see to be asked at all; @sources: the only ones it is
    about. Cases run in the order of their definition."""
    def add(function):
        _cases.append((function, needs, sources))
        return function
    return add


def once(function):
    """Registers a case that does not depend on a source: function(t)."""
    _cases.append((function, None, None))
    return function


def caps_of(source):
    """What a source says that it sees here; None where it does not work. Asked for once."""
    if source not in _caps:
        done = observe(source, ["/bin/true"])
        _caps[source] = set(done.books.header["caps"]) if done.rc == 0 else None
        if done.rc:
            print(f"# source {source} does not work here: {done.err.strip().splitlines()[0][:300]}")
    return _caps[source]


def sources():
    asked = os.environ.get("SOURCES", "").split()
    if asked:
        return asked
    must = ["bpf"] if os.geteuid() == 0 else []
    return must + [name for name in ("bpf", "ptrace") if name not in must and caps_of(name) is not None]


def _run_case(tap, function, *arguments):
    begin = time.monotonic()
    try:
        function(tap, *arguments)
    except Exception:  # a broken case is a failed one; the others still run
        tap.ok(False, "runs to its end", traceback.format_exc())
    print(f"# {tap.prefix}{time.monotonic() - begin:.1f} s")


def main():
    tap, wanted = Tap(), os.environ.get("CASES", "").split()
    chosen = [one for one in _cases if not wanted or any(word in one[0].__name__ for word in wanted)]
    for function, needs, _ in chosen:
        if needs is None:
            tap.prefix = f"{function.__name__}: "
            _run_case(tap, function)
    if any(needs is not None for _, needs, _ in chosen):
        names = sources()
        if not names:
            tap.ok(False, "a source works here")
        for source in names:
            _run_source(tap, source, chosen)
    print(f"1..{tap.count}")
    sys.exit(1 if tap.failed else 0)


def _run_source(tap, source, chosen):
    tap.prefix = f"{source}: "
    caps = caps_of(source)
    if not tap.ok(caps is not None, "the source works here", observe(source, ["/bin/true"])):
        return
    for function, needs, only in chosen:
        if needs is None or (only and source not in only):
            continue
        tap.prefix = f"{source}: {function.__name__}: "
        missing = [need for need in needs if need not in caps]
        if missing:  # no skip: it is not this source's affair; test_options checks that it says so
            print(f"# {tap.prefix}not asked, as this source does not see: {', '.join(missing)}")
        else:
            _run_case(tap, function, source)
