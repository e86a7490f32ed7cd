#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""More than the stream can carry: rows are folded and counted, details are left out and counted, the books stay exact. LOAD says
how much of it: 20 is the long form."""

import contextlib
import os
import signal

import harness
from harness import Observer, Process, case, children_of, comm_of, is_gone, observe, prog, stop, times, unlike, wait_until

PAGE = 4096
TIGHT = ("--ring", "4k")  # a page: there is no smaller one


def counts_of(done):
    """How often each call was made, by the ledgers."""
    found = {}
    for ledger in done.books.ledgers.values():
        for line in ledger["by_cause"]:
            if line["cause"] == "syscall":
                found[line["name"]] = found.get(line["name"], 0) + line["count"]
    return found


LONG = {"mmap": 1, "munmap": 1, "mprotect": 2}  # the calls of a round
SHORT = {"madvise": 1}


def flood(t, source, name, rounds, *options, between=None, calls=None):
    """A thread for each CPU floods; @between is called once they are about to start. What a flood of one round counts more or less
    is what more rounds must count."""
    threads, calls = max(2, os.cpu_count()), calls or LONG
    kind = ["short"] if calls is SHORT else []

    def once_round(number, *with_options, between=None):
        with Observer(source, *with_options, "--", prog("flood"), str(threads), str(number), *kind) as observer:
            observer.until("ready")
            resume = between(observer) if between else None
            observer.say("")
            if resume:
                resume()
            rc, out, err = observer.finish()
        return harness.Run(rc, out, err, observer.path)
    one, done = once_round(1), once_round(rounds, *options, between=between)
    if not t.balanced(done, name, coalesced=True):
        return None
    more, base = counts_of(done), counts_of(one)
    t.equal({call: more.get(call, 0) - base.get(call, 0) for call in calls},
            {call: number * threads * (rounds - 1) for call, number in calls.items()}, f"{name}: not a call is lost")
    marks = [mark["name"] for mark in done.books.marks]
    t.equal([one["name"] for one in done.points if one["name"] not in marks], [], f"{name}: nor a mark")
    if not options:
        t.agrees(done, name=f"{name}: readings agree")
    return done


@case("syscalls")
def event_flood(t, source):
    flood(t, source, "flood", times(3000))


@case("syscalls", sources=("bpf",))
def storm_of_calls(t, source):
    """The shortest memory calls there are, from each CPU at once: several millions a second, more than any report can be written
    of. The one buffer has room for a part of them, the other for hardly any."""
    for size in "8M", "64k":
        done = flood(t, source, f"storm, --ring {size}", times(150000), "--ring", size, calls=SHORT)
        if done:
            t.equal(done.books.end["lost_events"], 0, f"--ring {size}: none was lost")


@case("syscalls", sources=("bpf",))
def small_buffer(t, source):
    """Every row may not fit; the totals and the counts do all the same."""
    flood(t, source, "--ring 64k", times(10000), "--ring", "64k")
    done = observe(source, [prog("storm"), "shared", "8", str(times(500))], "--ring", "64k")
    t.balanced(done, "shared, 8 threads", coalesced=True)


@case("syscalls", sources=("bpf",))
def stopped_observer(t, source):
    """Nobody reads the buffer for the seconds that the flood lasts, so that it must overflow: what did not fit is folded and
    counted."""
    def between(observer):
        os.kill(observer.pid, signal.SIGSTOP)

        def resume():
            wait_until(lambda: flood_is_over(observer.pid), "the flood to end behind the observer's back")
            os.kill(observer.pid, signal.SIGCONT)
        return resume
    done = flood(t, source, "observer stopped", times(60000), "--ring", "64k", between=between)
    if done:
        folded = sum(ledger["coalesced_events"] for ledger in done.books.ledgers.values())
        t.ok(folded > 0, "rows were folded, and said to be", folded)
        t.equal(done.books.end["lost_events"], 0, "none was lost")


def flood_is_over(observer):
    """The command has ended: it is a zombie until its parent, the stopped observer, goes on. The observer's reader of
    symbols is another child of it."""
    return all(is_gone(child) or comm_of(child) == "heaptrace-names" for child in children_of(observer))


@case("syscalls", sources=("bpf",))
def opened_late(t, source):
    """The buffer is full to the last byte as a program begins: what it does is folded, and a mark that it leaves is said to be
    lost. Once there is room, the next mark opens its books, and is what it was."""
    with Observer(source, *TIGHT, "--", "/bin/sh") as observer:
        observer.say("echo ready")
        observer.until("ready")
        os.kill(observer.pid, signal.SIGSTOP)
        children = 200
        observer.say(f"{prog('swarm')} fork {children} 8 >/dev/null; exec {prog('hold')} 0")
        observer.until("ready")
        observer.ask("map 30")
        lost = observer.ask("mark lost")  # touches all that the next one does
        os.kill(observer.pid, signal.SIGCONT)

        def drained():
            with open(observer.path, "rb") as file:
                return file.read().count(b'"type":"ledger"') >= children + 2  # sh until its exec, and swarm

        def told():
            with open(observer.path, "rb") as file:
                return f'"name":"{points[-1]["name"]}"'.encode() in file.read()

        wait_until(drained, "the observer to have read all")
        points = []
        for line in ("mark found", "map 50", "drop"):
            points.append(observer.ask(line))
            wait_until(told, "the mark to be read, for there is hardly room for two")
        observer.say("quit")
        rc, out, err = observer.finish()
    done = harness.Run(rc, out, err, observer.path)
    if not t.balanced(done, coalesced=True):
        return
    books = done.books
    ledger = [ledger for _, ledger in sorted(books.ledgers.items()) if ledger["pid"] == lost["pid"]][-1]
    t.equal(len(books.ledgers), children + 3, "a ledger for each mm")
    t.ok(ledger["coalesced_events"] > 0, "what it did before was folded", ledger)
    marks = [mark["name"] for mark in books.marks if mark["_mm"] == ledger["mm"]]
    t.equal(marks, [point["name"] for point in points], "its marks from then on are there, by their names")
    t.equal(books.end["lost_events"], 0, "nothing of the books is lost")
    t.ok(books.end["lost_details"] > 0, "that the others are lost is said", books.end)


@case("syscalls", sources=("bpf",))
def more_mms_than_places(t, source):
    """With so small a buffer what changes most in an mm's books has an array of a few places, for which more processes are
    alive, the last one with busy threads: the books of those without a place are as exact."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(Process([prog("hold"), str(threads)])) for threads in [0] * 24 + [8]]
        for one in held:
            one.until("ready")
            one.ask("mark warm")
        held[-1].ask("busy")
        pids = [one.pid for one in held]
        with Observer(source, *TIGHT, "-p", ",".join(map(str, pids))) as observer:
            observer.attached()
            for number, one in enumerate(held):
                for line in (f"map {number + 1}", "map 20", "drop"):
                    one.ask(line)
            at_stop = {pid: stop(pid) for pid in pids}
            done = observer.end()
    if not t.balanced(done, coalesced=True):
        return
    ledgers = {ledger["pid"]: ledger for ledger in done.books.ledgers.values()}
    t.equal(sorted(ledgers), sorted(pids), "a ledger for each")
    t.none([f"{pid}: {line}" for pid, ledger in ledgers.items() for line in unlike(ledger, at_stop[pid])],
           "each closes on what status and smaps_rollup say at a stop")
    gained = {pid: ledger["closing"]["virt"] - ledger["opening"]["virt"] for pid, ledger in ledgers.items()}
    t.none([f"{pid}: {gained[pid]}" for number, pid in enumerate(pids[:-1]) if gained[pid] != (number + 1) * PAGE],
           "and has what the process mapped")


@case("syscalls", sources=("bpf",))
def more_tasks_than_desks(t, source):
    """More threads at once than the kernel side has quick places for, launched and attached to: each is watched like any other."""
    crowd = [prog("crowd"), "3000"]  # 1024 is room for
    with Observer(source, "--stacks", "none", "--", *crowd) as observer:
        observer.until("ready")
        observer.say("")
        rc, out, err = observer.finish()
    launched = harness.Run(rc, out, err, observer.path)
    with Process(crowd) as process:
        process.until("ready")
        with Observer(source, "--stacks", "none", "-p", str(process.pid)) as observer:
            observer.attached()
            process.say("")
            rc, out, err = observer.finish()
    attached = harness.Run(rc, out, err, observer.path)
    for name, done in (("launched", launched), ("attached", attached)):
        if not t.balanced(done, name, coalesced=True):
            continue
        causes = {line["cause"] for ledger in done.books.ledgers.values() for line in ledger["by_cause"]}
        t.equal("actor" in causes or "unknown" in causes, False, f"{name}: none is taken for somebody else", causes)
        t.ok(counts_of(done).get("munmap", 0) >= 3000, f"{name}: each is seen to unmap its page", counts_of(done))
        t.equal(done.books.end["lost_events"], 0, f"{name}: none is lost")


@case("syscalls", sources=("bpf",))
def ends_that_nobody_reads(t, source):
    """Processes by the thousand begin and end while the observer is stopped, until there is no room for sums either: each has its
    ledger, and that of their parent, which grows and lives on, has all that it did."""
    children = times(17000)  # more than 16384, for which there was room once
    grow = "i=0; while [ $i -lt 40 ]; do i=$((i + 1)); eval v$i=$(head -c 100000 /dev/zero | tr '\\0' x); done"
    with Process(["/bin/sh"]) as shell:
        shell.say("echo ready")
        shell.until("ready")
        with Observer(source, "--ring", "64k", "-p", str(shell.pid)) as observer:
            observer.attached()
            os.kill(observer.pid, signal.SIGSTOP)
            shell.say(f"{prog('swarm')} fork {children} 8 >/dev/null; {grow}; echo done")
            shell.until("done")
            at_stop = stop(shell.pid)
            os.kill(observer.pid, signal.SIGCONT)
            done = observer.end()
        os.kill(shell.pid, signal.SIGCONT)
    if not t.balanced(done, coalesced=True):
        return
    ledgers = done.books.ledgers
    swarm = [ledger for ledger in ledgers.values() if ledger["how"] == "fork" and ledger["closing"]["virt"] < 4 << 20]
    t.ok(len(swarm) >= children, "a ledger for each", len(swarm), len(ledgers))
    t.equal(done.books.end["lost_events"], 0, "none is lost")
    t.none(unlike(ledgers[1], at_stop), "the shell's closes on what status and smaps_rollup say at a stop")


if __name__ == "__main__":
    harness.main()
