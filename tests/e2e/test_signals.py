#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Signals: handlers, ends by a signal, Ctrl-C; the status of heaptrace is the command's."""

import contextlib
import os
import pty
import signal

import harness
from harness import HEAPTRACE, Observer, Run, case, environment, new_path, observe, prog, times, wait_until


@case()
def handler_on_a_fresh_stack(t, source):
    done = observe(source, [prog("signals"), "handler"])
    if t.balanced(done):
        t.agrees(done)
        rows = [row for row in done.books.step("handler") if row["anon"]]
        frame = 2 if os.uname().machine == "aarch64" else 1  # pages
        t.equal(sum(row["anon"] for row in rows), frame * 4096, "the pages of the signal's frame have their row", *rows)
        if source == "bpf":
            t.equal({(row["cause"], row["name"]) for row in rows}, {("kernel-fault", "signal")},
                    "which is the signal's, not that of the call on whose way out it came", *rows)


@case()
def exit_status(t, source):
    for code in (0, 1, 42, 255):
        done = observe(source, [prog("signals"), "exit", str(code)])
        t.balanced(done, f"exit {code}", rc=code)
    for name in ("SIGKILL", "SIGTERM", "SIGABRT", "SIGINT", "SIGUSR1"):
        number = int(getattr(signal, name))
        done = observe(source, [prog("signals"), "raise", str(number)])
        t.balanced(done, name, rc=128 + number)
        t.equal(done.books.end["exit"], {"code": None, "signal": number}, f"{name}: the end record names the signal")
    done = observe(source, [prog("signals"), "segv"])
    t.balanced(done, "SIGSEGV", rc=128 + signal.SIGSEGV)


def interrupted(t, source, mode, status):
    """The signal goes to the whole group, as a terminal's Ctrl-C does."""
    with Observer(source, "--", prog("signals"), mode, start_new_session=True) as observer:
        observer.until("ready")
        os.killpg(observer.pid, signal.SIGINT)
        rc, out, err = observer.finish()
    done = Run(rc, out, err, observer.path)
    t.balanced(done, f"{mode}", rc=status)
    return done


@case()
def ctrl_c(t, source):
    done = interrupted(t, source, "wait", 7)
    t.agrees(done, name="the command's handler has run, and the ledger is printed")
    interrupted(t, source, "default", 128 + signal.SIGINT)


@case()
def ctrl_c_at_a_terminal(t, source):
    """A real terminal, where heaptrace's text goes too."""
    path = new_path(".jsonl")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(HEAPTRACE, [HEAPTRACE, "-s", source, "-f", "jsonl", "-o", path, "--", prog("signals"), "wait"],
                  environment(TERM="xterm"))
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    try:
        while True:
            said += os.read(terminal, 4096)
    except OSError:  # the other end is closed
        pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    done = Run(os.waitstatus_to_exitcode(status), said.decode("utf-8", "replace").replace("\r\n", "\n").replace("^C", ""), "", path)
    t.balanced(done, rc=7)
    t.agrees(done)


@case()
def terminated_observer(t, source):
    """SIGTERM to heaptrace alone: the command is not left half-watched, and what was seen is written."""
    with Observer(source, "--", prog("signals"), "wait", start_new_session=True) as observer:
        observer.until("ready")
        observer.popen.send_signal(signal.SIGTERM)
        # If heaptrace detached, the command still waits: end it, so that nothing is left behind.
        try:
            rc, out, err = observer.finish(5)
        except harness.subprocess.TimeoutExpired:
            os.killpg(observer.pid, signal.SIGINT)
            rc, out, err = observer.finish()
    done = Run(rc, out, err, observer.path)
    t.none(done.books.problems(), "SIGTERM to heaptrace: the books are closed and balance", done)


@case(sources=("bpf",))
def asleep(t, source):
    """What a process has touched is told while it sleeps in the call that it made next."""
    with Observer(source, "--", prog("signals"), "asleep", start_new_session=True) as observer:
        def touched():
            with contextlib.suppress(FileNotFoundError), open(observer.path, encoding="utf-8") as file:
                return any('"name":"minor"' in line and '"count":5,' in line for line in file)
            return False
        wait_until(touched, "the row of what was touched")
        os.killpg(observer.pid, signal.SIGINT)
        rc, out, err = observer.finish()
    t.balanced(Run(rc, out, err, observer.path), rc=128 + signal.SIGINT)


@case()
def woken(t, source):
    """What a thread has touched before a call that wakes others is told before what these do."""
    done = observe(source, [prog("wakes"), str(times(40))])
    if t.balanced(done):
        t.agrees(done, done.points[2:])


@case()
def computing(t, source):
    """A call is told of though its thread goes on without another, and never sleeps."""
    flag, pages = new_path(), 77
    with open(flag, "wb") as file:
        file.truncate(4096)

    def told():
        with contextlib.suppress(FileNotFoundError), open(observer.path, encoding="utf-8", errors="replace") as file:
            return f'"len":{pages * 4096},' in file.read()
        return False

    with Observer(source, "--", prog("computes"), flag, str(pages)) as observer:
        wait_until(told, "the row of a call whose thread computes")
        with open(flag, "r+b") as file:
            file.write(b"1")
        rc, out, err = observer.finish()
    done = Run(rc, out, err, observer.path)
    if t.balanced(done):
        moments = [row["ts_ns"] for row in done.books.records if row["type"] == "event" and row["cause"] == "syscall"]
        t.equal(len(set(moments)), len(moments), "each call has a time of its own")
        t.equal(moments, sorted(moments), "in the order of the calls")


@case()
def stop_and_continue(t, source):
    """Job control: a stop of the command is no end of it."""
    done = observe(source, ["/bin/sh", "-c", f"{prog('hold')} 0 </dev/null & kill -STOP $!; kill -CONT $!; wait $!"])
    t.balanced(done)


if __name__ == "__main__":
    harness.main()
