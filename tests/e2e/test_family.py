#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Processes, threads and address spaces that begin and end in every way: one ledger for each mm, all balanced."""

import harness
from harness import case, observe, prog

PAGE = 4096


def observed(t, source, mode, *arguments, rc=0):
    done = observe(source, [prog("family"), mode, *arguments])
    return done if t.balanced(done, rc=rc) and t.agrees(done) else None


def own_mms(done):
    """The ledgers of the workload program itself, in order of opening (heaptrace's own child before exec is none)."""
    return [ledger for mm, ledger in sorted(done.books.ledgers.items()) if str(ledger["image"]).endswith("/family")]


def point(done, name, nth=0):
    return [one for one in done.points if one["name"] == name][nth]


@case()
def fork(t, source):
    done = observed(t, source, "fork")
    if not done:
        return
    ledgers = own_mms(done)
    t.equal(len(ledgers), 2, "two mms")
    parent, child = ledgers
    t.equal(child["opening"]["virt"], point(done, "before fork")["virt"], "the child opens with the parent's VIRT")
    t.ok(child["opening"]["rss"] > 0, "and with what was resident and copied", child["opening"])
    t.equal(parent["pid"], point(done, "before fork")["pid"], "the parent's ledger is the parent's")
    t.equal(child["pid"], point(done, "child begins")["pid"], "the child's ledger is the child's")
    rows = [row for row in done.books.rows if row["cause"] == "fork"]
    t.equal([(row["mm"], row["virt"], row["rss"]) for row in rows], [(child["mm"], 0, 0)], "a fork row that changes nothing")
    copied = [row for row in done.books.step("child writes 32", child["pid"]) if row["cause"] == "fault"]
    t.equal(sum(row["anon"] for row in copied), 0, "copy on write changes no level")
    if "faults" in done.books.header["caps"]:  # an ordinary user may be forbidden to see those that change nothing
        t.ok(sum(row["count"] for row in copied) >= 32, "but its faults are counted", *copied)


@case()
def inheritance_by_madvise(t, source):
    done = observed(t, source, "dontfork")
    if not done:
        return
    _, child = own_mms(done)
    t.equal(point(done, "before fork")["virt"] - child["opening"]["virt"], 64 * PAGE, "MADV_DONTFORK: 64 pages fewer")
    touched = done.books.step("child touches wiped 32", child["pid"])
    t.equal(sum(row["anon"] for row in touched if row["cause"] == "fault"), 32 * PAGE, "MADV_WIPEONFORK: new pages")


@case()
def vfork(t, source):
    done = observed(t, source, "vfork")
    if done:
        t.equal(len(own_mms(done)), 1, "the child without exec has no mm of its own")
        images = [ledger["image"] for ledger in done.books.ledgers.values()]
        t.ok(any(str(image).endswith("/true") for image in images), "the one with exec has", images)


@case()
def posix_spawn(t, source):
    done = observed(t, source, "spawn")
    if done:
        t.equal(len(done.books.ledgers), 2, "two mms")


@case()
def clone_vm(t, source):
    done = observed(t, source, "clonevm")
    if not done:
        return
    t.equal(len(own_mms(done)), 1, "two processes, one mm, one ledger")
    made = [row for row in done.books.rows if row["name"] == "mmap" and row["virt"] == 16 * PAGE]
    pid = point(done, "before clone")["pid"]
    t.ok(any(row["pid"] != pid for row in made), "the mmap of the child is the child's", *made)
    t.equal(done.books.end["processes"], 2, "two processes are counted")


@case()
def exec_chain(t, source):
    done = observed(t, source, "chain", "5")
    if not done:
        return
    ledgers = own_mms(done)
    t.equal(len(ledgers), 6, "a new mm for each exec")
    t.equal(len({ledger["pid"] for ledger in ledgers}), 1, "of the same process")
    failed = [row for row in done.books.rows if row["name"] == "execve" and row["error"] == "ENOENT"]
    t.equal(len(failed), 5, "the execs that failed are rows")
    t.equal(len([row for row in done.books.rows if row["cause"] == "exec"]), 6, "the ones that did not are exec rows")
    t.none([row for row in done.books.rows if row["cause"] == "exec" and (row["virt"] or row["rss"])],
           "an exec row changes nothing")


@case()
def exec_from_a_thread(t, source):
    done = observed(t, source, "thread-exec")
    if done:
        ledgers = own_mms(done)
        t.equal(len(ledgers), 4, "four mms")
        t.equal(len({ledger["pid"] for ledger in ledgers}), 1, "of one process, whose id stays")


@case()
def leader_ends_first(t, source):
    done = observed(t, source, "leader-exits", rc=5)
    if done:
        t.equal(len(own_mms(done)), 1, "one mm, closed by its last thread")


@case()
def orphan(t, source):
    """The grandchild outlives both its parents; heaptrace waits for all that it follows."""
    done = observed(t, source, "orphan")
    if done:
        t.equal(len(own_mms(done)), 3, "three mms, each with its ledger")


@case()
def nested(t, source):
    done = observed(t, source, "nested")
    if done:
        t.equal(len(own_mms(done)), 7, "seven generations")


@case()
def no_follow(t, source):
    done = observe(source, [prog("family"), "fork"], "--no-follow")
    t.balanced(done)
    t.equal(len(done.books.ledgers), 1, "--no-follow: the children are not watched", done.books.ledgers.keys())
    child = point(done, "child begins")["pid"]
    t.none([row for row in done.books.rows if row["pid"] == child], "and have no rows")
    chain = observe(source, [prog("family"), "chain", "2"], "--no-follow")
    t.balanced(chain, "--no-follow: exec of the process itself is followed")
    t.equal(len(own_mms(chain)), 3, "--no-follow: with a ledger for each image")


if __name__ == "__main__":
    harness.main()
