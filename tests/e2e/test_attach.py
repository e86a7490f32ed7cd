#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Attaching to what runs already, and letting go of it: the books close on what /proc/PID/status says at a stop."""

import os
import signal
import subprocess
import time

import harness
from harness import Observer, Process, case, children_of, new_path, prog, status_of, stop, unlike, wait_until

PAGE = 4096


def ledger_of(done, pid):
    return next((ledger for ledger in done.books.ledgers.values() if ledger["pid"] == pid), None)


def same_as_proc(t, done, pid, at_stop, name):
    ledger = ledger_of(done, pid)
    if t.ok(ledger is not None, f"{name}: there is a ledger for {pid}", done):
        t.none(unlike(ledger, at_stop), f"{name}: closing is what status and smaps_rollup say at the stop")


@case()
def running_process(t, source):
    with Process([prog("hold"), "0"]) as held:
        held.until("ready")
        before = held.ask("map 100")
        with Observer(source, "-p", str(held.pid)) as observer:
            observer.attached()
            points = [held.ask(line) for line in ("map 300", "drop", "map 7", "mark here")]
            at_stop = stop(held.pid)
            done = observer.end()
        os.kill(held.pid, signal.SIGCONT)
        t.balanced(done)
        t.agrees(done, points)
        same_as_proc(t, done, held.pid, at_stop, "one thread")
        opening = ledger_of(done, held.pid)["opening"]
        t.equal(opening["virt"], before["virt"], "opening is what it had at the attach")
        after = held.ask("map 5")
        t.equal(after["virt"] - points[-1]["virt"], 5 * PAGE, "the process goes on as before")
        t.equal(status_of(held.pid)["TracerPid"], "0", "and nobody traces it")
        held.say("quit")
        t.equal(held.finish()[0], 0, "and ends as before")


@case()
def busy_threads(t, source):
    with Process([prog("hold"), "8"]) as held:
        held.until("ready")
        held.ask("busy")
        with Observer(source, "-p", str(held.pid)) as observer:
            observer.attached()
            point = held.ask("map 50")
            at_stop = stop(held.pid)
            done = observer.end()
        os.kill(held.pid, signal.SIGCONT)
        t.balanced(done)
        t.ok(point["name"] in [mark["name"] for mark in done.books.marks], "the mark left meanwhile is there")
        same_as_proc(t, done, held.pid, at_stop, "8 busy threads")
        t.ok(len({row["tid"] for row in done.books.rows}) >= 3, "rows of several threads")
        held.ask("rest")
        t.equal(status_of(held.pid)["TracerPid"], "0", "nobody traces it afterwards")


@case()
def any_thread_stands_for_the_process(t, source):
    with Process([prog("hold"), "4"]) as held:
        held.until("ready")
        held.ask("mark warm")
        tids = sorted(int(tid) for tid in os.listdir(f"/proc/{held.pid}/task"))
        t.equal((len(tids), tids[0]), (5, held.pid), "five threads")
        for number, tid in enumerate(tids[1:], 2):
            with Observer(source, "-p", str(tid)) as observer:
                observer.attached()
                point = held.ask("map 40")
                done = observer.end()
            t.balanced(done, f"thread {number}: books balance")
            t.agrees(done, [point], name=f"thread {number}: readings agree")
            t.equal([ledger["pid"] for ledger in done.books.ledgers.values()], [held.pid],
                    f"thread {number}: one ledger, which names the process")


@case()
def several_processes(t, source):
    with Process([prog("hold"), "0"]) as one, Process([prog("hold"), "2"]) as two, Process([prog("hold"), "0"]) as other:
        for held in (one, two, other):
            held.until("ready")
            held.ask("mark warm")
        with Observer(source, "-p", f"{one.pid},{two.pid}") as observer:
            observer.attached()
            points = [one.ask("map 10"), two.ask("map 20"), other.ask("map 30"), one.ask("drop"), two.ask("mark b")]
            done = observer.end()
        t.balanced(done)
        t.agrees(done, [point for point in points if point["pid"] != other.pid])
        t.equal({ledger["pid"] for ledger in done.books.ledgers.values()}, {one.pid, two.pid}, "one ledger each")
        t.none([row for row in done.books.rows if row["pid"] == other.pid], "the one not named has no rows")


@case(sources=("bpf",))
def two_observers(t, source):
    """Two at once on one process: each has its own books, and both are right."""
    with Process([prog("hold"), "2"]) as held:
        held.until("ready")
        held.ask("mark warm")
        with Observer(source, "-p", str(held.pid)) as first:
            first.attached()
            one = held.ask("map 21")
            with Observer(source, "-p", str(held.pid)) as second:
                second.attached()
                two = held.ask("map 34")
                done_second = second.end()
            three = held.ask("drop")
            done_first = first.end()
        t.balanced(done_first, "the first")
        t.agrees(done_first, [one, two, three], "the first: readings agree")
        t.balanced(done_second, "the second")
        t.agrees(done_second, [two], "the second: readings agree")


@case()
def process_that_ends(t, source):
    with Process([prog("hold"), "3"]) as held:
        held.until("ready")
        held.ask("map 64")
        with Observer(source, "-p", str(held.pid)) as observer:
            observer.attached()
            point = held.ask("map 9")
            held.say("quit")
            held.finish()
            rc, out, err = observer.finish(20)
        done = harness.Run(rc, out, err, observer.path)
        t.balanced(done, "it ends by itself when the process ends")
        t.agrees(done, [point])
        exits = [row for row in done.books.rows if row["cause"] == "exit"]
        t.equal([row["virt"] for row in exits], [-ledger_of(done, held.pid)["closing"]["virt"]], "with an exit row")


@case()
def children_of_an_attached_process(t, source):
    """A shell that is attached to starts programs: they are watched from their beginning."""
    with Process(["/bin/sh"]) as shell:
        shell.say("echo ready")
        shell.until("ready")
        with Observer(source, "-p", str(shell.pid)) as observer:
            observer.attached()
            shell.say(f"{prog('family')} fork; {prog('family')} chain 2; echo done")
            shell.until("done")
            done = observer.end()
        t.balanced(done)
        t.agrees(done, harness.points_of(shell.said))


@case()
def another_namespace(t, source):
    """A process in a PID and a mount namespace of its own is attached to by the id that it has here."""
    unshare = ["unshare", "--fork", "--pid", "--mount-proc"]
    if harness.run([*unshare, "/bin/true"]).rc:
        t.skip("all", "no namespaces can be made here")
        return
    with Process([*unshare, prog("hold"), "0"]) as outer:
        outer.until("ready")
        outer.ask("mark warm")
        pid, = children_of(outer.pid)
        with Observer(source, "-p", str(pid)) as observer:
            observer.attached()
            points = [outer.ask("map 44"), outer.ask("drop")]
            at_stop = stop(pid)
            done = observer.end()
        os.kill(pid, signal.SIGCONT)
        t.balanced(done)
        t.ok(points[0]["pid"] != pid, "it has another id there", points[0]["pid"], pid)
        t.agrees(done, [{**point, "pid": pid} for point in points])
        same_as_proc(t, done, pid, at_stop, "another namespace")
        image = ledger_of(done, pid)["image"]
        t.equal(image, os.path.realpath(prog("hold")), "its image has its name")
        outer.say("quit")
        outer.finish()


@case("stacks")
def program_that_is_only_there(t, source):
    """In a mount namespace of its own lies the program's file, where nobody else sees it: its functions have their names."""
    unshare, room = ["unshare", "--mount"], new_path("-room")
    os.mkdir(room)
    if harness.run([*unshare, "mount", "-t", "tmpfs", "none", room]).rc:
        t.skip("all", "no file system can be mounted in a namespace here")
        return
    script = f"mount -t tmpfs none {room} && cp {prog('hold')} {room}/hidden && exec {room}/hidden 0"
    with Process([*unshare, "sh", "-c", script]) as held:
        held.until("ready")
        held.ask("mark warm")
        with Observer(source, "-p", str(held.pid)) as observer:
            observer.attached()
            point = held.ask("map 44")
            done = observer.end()
    t.ok(not os.path.exists(f"{room}/hidden"), "nobody else sees the file")
    if t.balanced(done):
        t.agrees(done, [point])
        t.equal(ledger_of(done, held.pid)["image"], f"{room}/hidden", "its image has its name")
        calls = [row for row in done.books.rows if row["name"] == "mmap" and row["virt"] == 44 * PAGE]
        names = [[frame["sym"] for frame in row["stack"] if frame["obj"] == f"{room}/hidden"] for row in calls]
        t.ok(len(names) == 1 and "main" in names[0], "and so have its functions", names, *calls)


@case()
def observer_in_a_namespace(t, source):
    """heaptrace in a PID namespace of its own, as in a container: processes have the numbers that they have there."""
    unshare = ["unshare", "--fork", "--pid", "--mount-proc"]
    if harness.run([*unshare, "/bin/true"]).rc:
        t.skip("all", "no namespaces can be made here")
        return
    path = new_path(".jsonl")
    done = harness.run([*unshare, harness.HEAPTRACE, "-s", source, "-f", "jsonl", "-o", path, "--sample", "1", "--",
                        "/bin/sh", "-c", f"{prog('family')} fork; exec sleep 0.3"])
    done.path = path
    t.balanced(done)
    t.agrees(done)
    t.ok(all(0 < point["pid"] < 100 for point in done.points), "its processes are among the first there", done.points)
    samples = done.books.of("sample")
    t.ok(samples and samples[0]["pid"] < 100, "they are sampled", samples[:1])
    path = new_path(".jsonl")
    script = f"{prog('hold')} 0 </dev/zero >/dev/null & {harness.HEAPTRACE} -s {source} -f jsonl -o {path} -d 0.5 -p $!; kill -9 $!"
    done = harness.run([*unshare, "sh", "-c", script])
    done.path = path
    found = [ledger for ledger in done.books.ledgers.values() if ledger["balanced"] and ledger["pid"] < 100]
    t.equal(len(found), 1, "one is attached to", done)


@case()
def duration(t, source):
    with Process([prog("hold"), "2"]) as held:
        held.until("ready")
        held.ask("map 33")
        begin = time.monotonic()
        with Observer(source, "-d", "1", "-p", str(held.pid)) as observer:
            rc, out, err = observer.finish(30)
        t.ok(time.monotonic() - begin >= 1, "--duration 1 lasts a second at least")
        t.balanced(harness.Run(rc, out, err, observer.path), "--duration detaches")
        t.equal(held.ask("mark alive")["name"], "mark alive", "the process goes on")


@case()
def stopped_process(t, source):
    """Attaching to a stopped process does not wake it, and neither does letting it go."""
    with Process([prog("hold"), "2"]) as held:
        held.until("ready")
        held.ask("map 20")
        at_stop = stop(held.pid)
        with Observer(source, "-p", str(held.pid)) as observer:
            observer.attached()
            done = observer.end()
        t.balanced(done)
        same_as_proc(t, done, held.pid, at_stop, "stopped")
        t.equal(status_of(held.pid)["State"], "T", "it is still stopped")
        os.kill(held.pid, signal.SIGCONT)
        t.equal(held.ask("mark on")["name"], "mark on", "and goes on when it is told to")


@case("faults")
def faults_that_nobody_has_told(t, source):
    """A thread has touched pages of a file that was not in memory and makes no call after that: at the detach its faults are told,
    as what they were."""
    path, pages = new_path(), 16
    with open(path, "wb") as file:
        file.write(b"x" * pages * PAGE)
        os.fsync(file.fileno())
    with Process([prog("hold"), "0"]) as held:
        held.until("ready")
        held.ask("mark warm")
        with Observer(source, "-p", str(held.pid)) as observer:
            observer.attached()
            held.ask(f"major {path}")
            done = observer.end()
        held.ask("calm")
        held.say("quit")
        t.equal(held.finish()[0], 0, "the process goes on, and ends well")
    if not t.balanced(done):
        return
    rows = [row for row in done.books.rows if row["cause"] == "fault" and row["file"] and row["pid"] != row["tid"]]
    t.equal(sum(row["file"] for row in rows), pages * PAGE, "all of them are there", *rows)
    t.equal(sum(row["count"] for row in rows if row["name"] == "major"), pages, "as major ones", *rows)


@case()
def after_kill_9(t, source):
    with Process([prog("hold"), "4"]) as held:
        held.until("ready")
        held.ask("busy")
        with Observer(source, "-p", str(held.pid), stderr=subprocess.DEVNULL) as observer:
            observer.attached()
            held.ask("map 3")
            observer.popen.kill()
            observer.popen.wait()
        wait_until(lambda: status_of(held.pid)["TracerPid"] == "0", "the kernel to let it go")
        t.equal(held.ask("rest")["name"], "rest", "the process goes on after kill -9 of heaptrace")
        with Observer(source, "-p", str(held.pid)) as observer:
            observer.attached()
            point = held.ask("map 11")
            done = observer.end()
        t.balanced(done, "a second attach works")
        t.agrees(done, [point])
        held.say("quit")
        t.equal(held.finish()[0], 0, "and the process ends well")


if __name__ == "__main__":
    harness.main()
