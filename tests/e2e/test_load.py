#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Exact books under load: threads on one mm, swarms of short processes, attaching again and again, an observer that is killed at
any moment. LOAD says how much of it: 20 is the long form."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time

import harness
from books import Books
from bpf_programs import all_programs, arrays_of, first_words, programs_of
from harness import Observer, Process, case, observe, prog, status_of, stop, times, unlike, wait_until

PAGE = 4096
DESKS = 1024  # bpf/desk.bpf.h


def storm(t, source, mode, threads, rounds):
    done = observe(source, [prog("storm"), mode, str(threads), str(rounds)])
    name = f"{mode}, {threads} threads"
    if not t.balanced(done, name):
        return None
    t.agrees(done, name=f"{name}: readings agree")
    return done


def virt_asked(row):
    """What a call of storm's own rounds does to VIRT, by its arguments alone: no thread touches another's mappings, and what
    is mapped at a fixed place lies over something else, unless it is to grow downward."""
    args = row["args"]
    fixed, grows_down = 0x10, 0x100
    if row["name"] == "mmap":
        return 0 if args["flags"] & (fixed | grows_down) == fixed else args["len"]
    return {"munmap": -args.get("len", 0), "mremap": args.get("new_size", 0) - args.get("old_size", 0), "shmat": 4 * PAGE,
            "shmdt": -4 * PAGE}.get(row["name"], 0)


@case("syscalls", "faults")
def threads_on_their_own(t, source):
    for threads, rounds in ((8, 200), (64, 25)) if source == "bpf" else ((8, 100), (64, 8)):
        rounds = times(rounds, 4)
        done = storm(t, source, "own", threads, rounds)
        if not done:
            continue
        known = {one["tid"]: one for line in done.out.splitlines() if line.startswith('{"threads"')
                 for one in json.loads(line)["threads"]}
        virt, anon, grown = dict.fromkeys(known, 0), dict.fromkeys(known, 0), dict.fromkeys(known, 0)
        rows = [row for row in done.books.step("storm") if row["tid"] in known]
        for row in rows:
            virt[row["tid"]] += row["virt"]
            anon[row["tid"]] += row["anon"]
            grown[row["tid"]] += row["virt"] if row["cause"] == "fault" else 0
        t.none([row for row in rows if row["cause"] == "syscall" and row["args"] and row["virt"] != virt_asked(row)],
               f"{threads} threads: each call has changed VIRT as its arguments say")
        t.equal(set(grown.values()), {rounds * 3 * PAGE},
                f"{threads} threads: and what has grown without a call is of the faults of its thread")
        t.none([f"tid {tid}: rows {virt[tid]}, done {one['virt']}" for tid, one in known.items() if virt[tid] != one["virt"]],
               f"{threads} threads: the VIRT of each thread is what it did")
        if "kernel" not in harness.caps_of(source):
            continue
        off = sum(abs(anon[tid] - one["anon"]) for tid, one in known.items()) // PAGE
        said = sum(ledger.get("swapped_pages", 0) for ledger in done.books.ledgers.values())
        t.ok(off <= 2 * said, f"{threads} threads: anonymous pages of each too, but for those said to be swapped",
             f"{off} pages on another thread's rows, said {said}",
             *[f"tid {tid}: rows {anon[tid]}, done {one['anon']}" for tid, one in known.items() if anon[tid] != one["anon"]])


@case("syscalls")
def threads_over_each_other(t, source):
    for threads, rounds in ((8, 1500), (64, 150)):
        storm(t, source, "shared", threads, times(rounds, 4))


@case()
def short_children(t, source):
    """10,000 in all, by ptrace, which stops each many times, a fifth of them; those that share memory have no mm of their
    own."""
    for mode, count, at_once, own in (("fork", 5000, 8, True), ("vfork", 1500, 1, False), ("clonevm", 1500, 4, False),
                                      ("exec", 800, 1, True), ("spawn", 800, 4, True), ("kill", 400, 4, True)):
        count = times(count if source == "bpf" else count // 5, 2 * at_once)
        done = observe(source, [prog("swarm"), mode, str(count), str(at_once)], timeout=2 * harness.TIMEOUT)
        name = f"{mode}, {count} children"
        if t.balanced(done, name):
            t.agrees(done, name=f"{name}: readings agree")
            t.equal(len(done.books.ledgers), 1 + (count if own else 0), f"{name}: a ledger for each mm")
            t.equal(done.books.end["processes"], count + 1, f"{name}: each process is counted")


@case("syscalls", sources=("bpf",))
def swarms_beside(t, source):
    """Other processes begin and end by the thousand meanwhile, and get the memory in the kernel that a watched one has had: none of
    them is taken for it."""
    count = times(2000, 16)
    script = f"{prog('swarm')} exec {count} 1 && echo ready && read line"
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(Process([prog("swarm"), "exec", "1000000", "1"]))
        with Observer(source, "--stacks", "none", "--", "sh", "-c", script) as observer:
            observer.until("ready")
            desks = [array for array in arrays_of(observer.pid) if array[2] == DESKS]
            taken = [sum(word != 0 for word in first_words(desk)) for desk in desks]
            observer.say("")
            rc, out, err = observer.finish()
    done = harness.Run(rc, out, err, observer.path)
    t.equal(taken, [1], "when all but the shell have ended, only that has a place for its state")
    if t.balanced(done, "one of four"):
        t.equal(len(done.books.ledgers), 2 + count, "a ledger for each mm of its own")
        t.equal(done.books.end["processes"], count + 2, "and each process of its own is counted")


def peak_of(observer):
    """The most memory that it takes until it ends."""
    peak = 0
    while observer.popen.poll() is None:
        peak = max(peak, status_of(observer.pid).get("peak", 0))
        time.sleep(0.005)
    return peak


@case()
def memory_of_the_dead(t, source):
    """What heaptrace takes follows what is alive, not what has been; its queue of 6 MiB may be used more or less."""
    few, many = (1000, times(6000, 3000)) if source == "bpf" else (200, times(1200, 600))
    peaks = {}
    for count in (few, many):
        with Observer(source, "--ring", "1M", "-e", "exit", "--", prog("swarm"), "fork", str(count), "8") as observer:
            peaks[count] = peak_of(observer)
            rc, out, err = observer.finish()
        t.balanced(harness.Run(rc, out, err, observer.path), f"{count} children", coalesced=True,
                   filtered=True)
    t.ok(0 < peaks[many] <= peaks[few] + (6 << 20), f"{many} children take as much memory as {few}", peaks)


def attach_once(held, source, n):
    """Attach, a mark, a stop, detach: what is wrong. Every row is only looked at the first time: there are very many, and
    the ledger counts them also where they are not written."""
    with Observer(source, *(("-e", "exit") if n else ()), "-p", str(held.pid)) as observer:
        observer.attached()
        held.ask(f"mark {n}")
        at_stop = stop(held.pid)
        done = observer.end()
    os.kill(held.pid, signal.SIGCONT)
    with open(done.path, "rb") as file:
        found = Books(file.read())
    problems = found.problems(coalesced=True, filtered=n > 0) + ([] if done.rc == 0 else [str(done)])
    for ledger in found.ledgers.values():
        problems += unlike(ledger, at_stop)
    return problems if found.ledgers else [*problems, "no ledger"]


@case()
def attach_again_and_again(t, source):
    for threads, count in ((8, times(20)), (64, times(20))):
        with Process(["nice", "-n", "19", prog("hold"), str(threads)]) as held:  # the observer must get a turn now and then
            held.until("ready")
            held.ask("busy")
            found = []
            for n in range(count):
                found += [f"attach {n}: {problem}" for problem in attach_once(held, source, n)]
            held.ask("rest")
            held.say("quit")
            t.equal(held.finish()[0], 0, f"{threads} busy threads, {count} attaches: the process ends well")
            t.none(found, f"{threads} busy threads, {count} attaches: each closes on what status and smaps_rollup say at a stop")


@case()
def let_go_of_a_swarm(t, source):
    """Attaching and letting go while processes begin and end all the time: each that was seen has its ledger, and all it did."""
    chance, found = random.Random(4), []
    with Process([prog("swarm"), "fork", "1000000", "8"]) as swarm:
        for n in range(times(10 if source == "bpf" else 3)):
            with Observer(source, "-p", str(swarm.pid)) as observer:
                observer.attached()
                time.sleep(chance.random() * 0.1)  # chance chooses the moment; it decides nothing
                done = observer.end()
            found += [f"{n}: {problem}" for problem in done.books.problems(coalesced=True)] + ([] if done.rc == 0 else [str(done)])
        t.equal(swarm.popen.poll(), None, "it goes on")
    t.none(found, "no books are wrong")


@case()
def killed_again_and_again(t, source):
    """kill -9 at moments that chance chooses, from the start of heaptrace on, one in four at any until it watches: the process
    never notices."""
    chance, count = random.Random(20240607), times(100 if source == "bpf" else 30)
    with Process([prog("hold"), "4"]) as held:
        held.until("ready")
        held.ask("busy")
        begin, answered = time.monotonic(), 0
        with Observer(source, "-p", str(held.pid), stderr=subprocess.DEVNULL) as observer:
            observer.attached()
            span = 1.2 * (time.monotonic() - begin)
        for n in range(count):
            with Observer(source, "-p", str(held.pid), stderr=subprocess.DEVNULL) as observer:
                try:
                    observer.popen.wait(chance.random() * (0.15 if n % 4 else span))
                except subprocess.TimeoutExpired:
                    observer.popen.kill()
                    observer.popen.wait()
            answered += held.ask(f"mark {n}")["name"] == f"mark {n}"
        t.equal(answered, count, f"the process goes on after each of {count} kills")
        wait_until(lambda: status_of(held.pid)["TracerPid"] == "0", "the kernel to let it go")
        t.none(attach_once(held, source, count), "and another attach is exact")
        held.ask("rest")
        held.say("quit")
        t.equal(held.finish()[0], 0, "and it ends well")


@case(sources=("bpf",))
def nothing_stays_behind(t, source):
    """After kill -9 no program of heaptrace is left in the kernel."""
    with Process([prog("hold"), "0"]) as held:
        held.until("ready")
        with Observer(source, "-p", str(held.pid)) as observer:
            observer.attached()
            loaded = programs_of(observer.pid)
            t.ok(len(loaded) > 3, "while it runs, its programs are there", loaded)
            observer.popen.kill()
            observer.popen.wait()
        wait_until(lambda: not loaded & all_programs(), "the kernel to drop the programs")
        t.none(sorted(loaded & all_programs()), "after it they are gone")


if __name__ == "__main__":
    harness.main()
