#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""What only the ptrace source has to stand: its own death, containers without perf events, filters of the target, 32-bit
programs; and that it says the same as the bpf source."""

import collections
import contextlib
import os
import random
import signal
import subprocess
import threading

import harness
from harness import (HEAPTRACE, PYTHON, TARGET, Observer, Process, case, children_of, comm_of, folder, is_gone, new_path, observe, prog,
                     run, status_of, wait_until)

PTRACE = ("ptrace",)
NOBODY = 65534
SIZES = "20M,2M,200k,20k,2k"
ORDERS = ("ascending", "descending", "shuffled", "given")
ALLOCATORS = ("malloc", "mmap", "operator", "slab")

# Refuses one call with EPERM, then becomes another program: refuse NUMBER COMMAND...
REFUSE = """#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv) {
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)atoi(argv[1]), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, filter };
	if (argc < 3 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 98;
	execvp(argv[2], argv + 2);
	return 97;
}
"""

# Without a C library, as 32-bit ones are rarely installed. Maps 64 pages, touches 32, unmaps all, grows the heap.
I386 = """
static long call(long n, long *a) {
	long r;
	__asm__ volatile("push %%ebp; push %%ebx; push %%edi; mov (%%esi),%%ebx; mov 4(%%esi),%%ecx; mov 8(%%esi),%%edx;"
			 "mov 16(%%esi),%%edi; mov 20(%%esi),%%ebp; mov 12(%%esi),%%esi; int $0x80;"
			 "pop %%edi; pop %%ebx; pop %%ebp" : "=a"(r), "+S"(a) : "a"(n) : "ecx", "edx", "memory");
	return r;
}
static void mark(const char *text, long len) { call(4, (long[6]){ -1, (long)text, len }); }
void _start(void) {
	long map[6] = { 0, 64 * 4096, 3, 34, -1, 0 }, heap;
	char *at = (char *)call(192, map);
	mark("heaptrace:mapped", 16);
	for (int i = 0; i < 32; i++)
		((volatile char *)at)[i * 4096] = 1;
	mark("heaptrace:touched", 17);
	call(91, (long[6]){ (long)at, 64 * 4096 });
	mark("heaptrace:unmapped", 18);
	heap = call(45, (long[6]){ 0 });
	call(45, (long[6]){ heap + 8 * 4096 });
	mark("heaptrace:grown", 15);
	call(1, (long[6]){ 7 });
}
"""


def compiled(text, *options):
    """The program that @text is, or None where it cannot be had."""
    source, program = new_path(".c"), new_path("-prog")
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    built = run(["gcc", "-O1", "-w", *options, "-o", program, source])
    return program if built.rc == 0 else None


@case(sources=PTRACE)
def command_outlives_heaptrace(t, source):
    """kill -9: no call of the command fails, though its filter stays; the keeper goes with the last process that has it."""
    with Observer(source, "--", prog("hold"), "3", stderr=subprocess.DEVNULL) as observer:
        observer.until("ready")
        before = observer.ask("map 10")
        pid = before["pid"]
        observer.ask("busy")
        os.kill(observer.pid, signal.SIGKILL)
        observer.popen.wait()
        after = observer.ask("rest")
        after = observer.ask("map 100")
        t.ok(after["virt"] - before["virt"] >= 100 * 4096, "memory calls work after kill -9 of heaptrace", before, after)
        keeper = status_of(pid)["TracerPid"]
        t.equal(comm_of(keeper), "htkeeper", "a keeper lets them pass")
        t.equal((os.getsid(int(keeper)) == os.getsid(pid), os.getpgid(int(keeper)) == os.getpgid(pid)), (True, False),
                "in the command's session, which the scheduler goes by, but not in its process group")
        observer.say("quit")
        wait_until(lambda: is_gone(pid), "the command to end")
        wait_until(lambda: is_gone(keeper), "the keeper to end")
        t.ok(is_gone(keeper), "and goes when the command has ended")


@case(sources=PTRACE)
def killed_at_any_moment(t, source):
    """From the start on: the command has not begun, or does all its work."""
    chance, done, work = random.Random(7), 0, new_path("-status")
    for n in range(12):
        script = f"echo begun >{work}; {prog('storm')} own 4 10 >/dev/null 2>&1; echo $? >{work}"
        with subprocess.Popen([HEAPTRACE, "-s", source, "-o", "/dev/null", "--", "/bin/sh", "-c", script],
                              env=harness.environment(), stderr=subprocess.DEVNULL, start_new_session=True) as popen:
            if n % 2:
                wait_until(lambda: os.path.exists(work), "the command to begin")
            try:
                popen.wait(chance.random() * 0.1)
            except subprocess.TimeoutExpired:
                popen.kill()
            popen.wait()
            wait_until(lambda group=popen.pid: not members_of(group), "the command to end")
        try:
            with open(work, encoding="ascii") as file:
                said = file.read()
            os.unlink(work)
        except FileNotFoundError:
            continue
        done += 1
        if said != "0\n":
            t.ok(False, "the command ends as it should", repr(said))
    t.ok(done >= 6, f"the command did its work {done} times of 12")


def members_of(group):
    """The processes of a process group that have not ended."""
    found = []
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(pid)
        except (OSError, ValueError):
            pass
    return found


@case(sources=PTRACE)
def command_is_let_go(t, source):
    """--duration ends the watch, not the command."""
    with Observer(source, "-d", "0.3", "--", prog("hold"), "2") as observer:
        observer.until("ready")
        before = observer.ask("map 10")
        pid = before["pid"]
        observer.popen.wait(harness.PATIENCE)
        t.none(harness.Run(0, "", "", observer.path).books.problems(), "the books are closed and balance")
        after = observer.ask("map 50")
        t.equal(after["virt"] - before["virt"], 50 * 4096, "memory calls work as before")
        observer.say("quit")
        wait_until(lambda: is_gone(pid), "the command to end")


@case(sources=PTRACE)
def nothing_is_left(t, source):
    """The tracer has ended when heaptrace has, however it came to that; only the filter of a command that runs on keeps it."""
    for name, options in (("Ctrl-C", []), ("the command's end", []), ("--duration", ["-d", "0.3"]), ("SIGTERM", [])):
        with Observer(source, *options, "--", prog("hold"), "2", start_new_session=True) as observer:
            observer.until("ready")
            pid = observer.ask("mark begun")["pid"]
            tracer = status_of(pid)["TracerPid"]
            t.equal(comm_of(tracer), "htkeeper", f"{name}: the command is traced")
            if name == "Ctrl-C":
                os.killpg(observer.pid, signal.SIGINT)
            elif name == "SIGTERM":
                os.kill(observer.pid, signal.SIGTERM)
            elif name == "the command's end":
                observer.say("quit")
            observer.popen.wait(harness.PATIENCE)
            if not is_gone(pid):
                t.equal(comm_of(tracer), "htkeeper", f"{name}: the command runs on, and is kept")
                observer.say("quit")
                wait_until(lambda pid=pid: is_gone(pid), "the command to end")
                wait_until(lambda tracer=tracer: is_gone(tracer), "the keeper to end")
            t.ok(is_gone(tracer), f"{name}: no tracer is left")
    for name, number in (("Ctrl-C", signal.SIGINT), ("kill -9", signal.SIGKILL)):
        with Process([prog("hold"), "2"]) as held:
            held.until("ready")
            with Observer(source, "-p", str(held.pid), stderr=subprocess.DEVNULL) as observer:
                observer.attached()
                tracer = status_of(held.pid)["TracerPid"]
                observer.popen.send_signal(number)
                observer.popen.wait(harness.PATIENCE)
                if number == signal.SIGKILL:
                    wait_until(lambda tracer=tracer: is_gone(tracer), "the tracer to end")
            t.ok(is_gone(tracer), f"attached, {name}: no tracer is left")
            t.equal(status_of(held.pid)["TracerPid"], "0", f"attached, {name}: the process is not traced")


@case(sources=PTRACE)
def tracer_is_killed(t, source):
    """That is an error, and said: nobody waits for what will not come."""
    with Observer(source, "--", prog("hold"), "2") as observer:
        observer.until("ready")
        os.kill(int(status_of(observer.ask("mark begun")["pid"])["TracerPid"]), signal.SIGKILL)
        observer.popen.wait(harness.PATIENCE)
        rc, out, err = observer.finish()
    t.equal((rc, "the ptrace source failed" in err), (125, True), "heaptrace ends with status 125 and one line", out, err)


@case(sources=PTRACE)
def waiting_calls(t, source):
    """Attaching and letting go stop each thread. Calls that such a stop ends with EINTR are made again."""
    with Process([prog("waits")]) as held:
        held.until("ready")
        for _ in range(3):
            with Observer(source, "-p", str(held.pid)) as observer:
                observer.attached()
                t.balanced(observer.end())
        held.say("go on")
        _, said, _ = held.finish()
        results = dict(line.split(": ") for line in said.splitlines() if ": " in line)
        t.equal(results, {"epoll_wait": "1", "epoll_pwait": "1", "poll": "1", "semop": "0", "semtimedop": "0",
                          "rt_sigtimedwait": str(int(signal.SIGUSR1)), "recvfrom": "1", "accept": "0", "msgrcv": "1"},
                "calls that waited got what they waited for")


@case(sources=PTRACE)
def waiting_calls_and_signals(t, source):
    """A signal that comes while a thread is stopped to be attached to or let go ends its call with EINTR, as it does else."""
    answered, stop = 0, threading.Event()
    with subprocess.Popen([prog("answers")], stdout=subprocess.PIPE) as popen:
        def bother():
            nonlocal answered
            while os.read(popen.stdout.fileno(), 1) and not stop.is_set():
                answered += 1
                popen.send_signal(signal.SIGUSR1)
        def goes_on():
            before = answered
            with contextlib.suppress(TimeoutError):
                wait_until(lambda: answered > before + 20, "answers", 10)
            return answered > before + 20
        sender = threading.Thread(target=bother)
        sender.start()
        for _ in range(8):
            with Observer(source, "--stacks", "none", "-p", str(popen.pid)) as observer:
                observer.attached()
                watched = goes_on()
                observer.end()
            if not watched or not goes_on():
                break
        else:
            watched = None
        t.equal(watched, None, "each signal has ended a call (False: not while attached, True: not after)", answered)
        stop.set()
        popen.terminate()
        sender.join(5)


@case(sources=PTRACE)
def without_perf_events(t, source):
    """A container that forbids perf_event_open: faults come from /proc, and the header says so."""
    refuse = compiled(REFUSE)
    if not refuse:
        t.skip("without perf events", "no compiler")
        return
    number = {"x86_64": "298", "aarch64": "241"}[os.uname().machine]
    for command in ([prog("maps")], [TARGET, "--order", "descending", "--sizes", SIZES],
                    [prog("storm"), "shared", "4", "100"], [prog("family"), "fork"]):
        path, name = new_path(".jsonl"), os.path.basename(command[0])
        done = run([refuse, number, HEAPTRACE, "-s", source, "-f", "jsonl", "-o", path, "--", *command])
        done.path = path
        if t.balanced(done, f"{name}: books balance"):
            t.ok("faults" not in done.books.header["caps"], f"{name}: it does not claim to see faults", done.books.header)
            if done.points:
                t.agrees(done, name=f"{name}: readings agree")


@case(sources=PTRACE)
def filter_of_the_target(t, source):
    """A program with a seccomp filter of its own: that filter does what it did."""
    refuse = compiled(REFUSE)
    if not refuse:
        t.skip("a filter of the target", "no compiler")
        return
    number = {"x86_64": "25", "aarch64": "216"}[os.uname().machine]  # mremap
    command = [refuse, number, PYTHON, "-c", "import mmap; m = mmap.mmap(-1, 4096)\ntry: m.resize(8192)\n"
               "except PermissionError: print('refused')"]
    alone = run(command)
    done = observe(source, command)
    t.balanced(done)
    t.equal((done.rc, done.out), (alone.rc, alone.out), "the program sees what it sees alone", done)
    t.equal(done.out, "refused\n", "which is its filter at work")


@case(sources=PTRACE)
def program_of_32_bits(t, source):
    """Its calls are decoded as what they are; where the kernel runs no such program, that is what is said."""
    program = compiled(I386, "-m32", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-fno-stack-protector", "-O0")
    if not program:
        t.skip("a 32-bit program", "the compiler here makes none")
        return
    done = observe(source, [program])
    if not can_be_executed(program):
        t.equal(done.rc, 126, "a program that the kernel does not run: status 126", done)
        t.ok("cannot run" in done.err, "and one line that says so", done)
        return
    if not t.balanced(done, rc=7):
        return
    t.equal([mark["name"] for mark in done.books.marks], ["mapped", "touched", "unmapped", "grown"], "its marks")
    calls = [(row["name"], row["virt"], row["anon"]) for row in done.books.rows
             if row["cause"] == "syscall" and row["virt"]]
    t.equal(calls, [("mmap", 64 * 4096, 0), ("munmap", -64 * 4096, -32 * 4096), ("brk", 8 * 4096, 0)],
            "its calls and their effects")
    mapped = next(row for row in done.books.rows if row["name"] == "mmap")
    t.equal(mapped["args"], {"addr": 0, "len": 64 * 4096, "prot": 3, "flags": 34, "fd": -1, "off": 0}, "and arguments")


def can_be_executed(program):
    try:
        return run([program]).rc == 7
    except OSError:
        return False


def calls_of(done, placed=True, field="virt"):
    """The memory calls of each thread in order, from the second exec on (the first one is setarch's, at random addresses).
    Threads are numbered in the order in which they appear. An exec that succeeds has no registers left to tell by. Without
    @placed, addresses are left out and the order of threads is that of what they do: chance decides who comes first."""
    first, threads, numbers = min(done.books.ledgers), collections.defaultdict(list), {}
    for row in done.books.rows:
        if row["cause"] != "syscall" or not row["args"] or row["mm"] == first or row["name"].startswith("exec"):
            continue
        thread = numbers.setdefault(row["tid"], len(numbers))
        args, ret = row["args"], None if row["name"] in ("fork", "vfork", "clone", "clone3") else row["ret"]
        if not placed:
            args = {key: value for key, value in args.items() if "addr" not in key and key != "shmid"}
            ret = None if row["name"] in ("brk", "mmap", "mremap", "shmat") else ret
        threads[thread].append((row["name"], args, ret, row["error"], row[field]))
    return threads if placed else dict(enumerate(sorted(threads.values(), key=repr)))


@case(sources=PTRACE)
def agrees_with_bpf(t, source):
    """Same calls, arguments, results and VIRT effects, thread by thread. Addresses have to be the same: no ASLR."""
    if harness.caps_of("bpf") is None:
        t.skip("agreement with the bpf source", "that does not work here")
        return
    commands = {
        "maps": [prog("maps")], "errors": [prog("errors")], "fork": [prog("family"), "fork"],
        "target": [TARGET, "--order", "descending", "--sizes", SIZES], "storm": [prog("storm"), "own", "8", "20"],
        "python3": [PYTHON, "-S", "-E", "-c", "x=[bytearray(300000) for _ in range(50)]; del x"],
    }
    env = harness.environment(PYTHONHASHSEED=0)
    for name, command in commands.items():
        command = ["setarch", "-R", *command]
        ours, theirs = (calls_of(observe(one, command, env=env), name != "storm") for one in (source, "bpf"))
        problems = [f"{len(ours)} threads, bpf {len(theirs)}"] if len(ours) != len(theirs) else []
        for thread in ours:
            for i, (one, other) in enumerate(zip(ours[thread], theirs[thread])):
                if one != other:
                    problems.append(f"thread {thread}, call {i}: {one}, bpf {other}")
                    break
            if len(ours[thread]) != len(theirs[thread]):
                problems.append(f"thread {thread}: {len(ours[thread])} calls, bpf {len(theirs[thread])}")
        t.none(problems, f"{name}: the calls of {len(ours)} thread(s)")


def without_stacks(source, command, *options, **how):
    """Where calls notify instead of stopping, unless somebody forbids it."""
    return observe(source, command, "--stacks", "none", *options, **how)


def notifies(tracer):
    """Whether a tracer has a listener for seccomp's notifications."""
    links = []
    for fd in os.listdir(f"/proc/{tracer}/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/{tracer}/fd/{fd}"))
    return any("seccomp notify" in link for link in links)


def can_notify():
    with Observer("ptrace", "--stacks", "none", "--", prog("hold"), "2") as observer:
        observer.until("ready")
        return notifies(status_of(observer.ask("mark begun")["pid"])["TracerPid"])


@case(sources=PTRACE)
def blocks_agree_with_bpf(t, source):
    """Mappings that become one with their neighbours, in parts and as a whole, in any order, failing calls among them."""
    if harness.caps_of("bpf") is None:
        t.skip("agreement with the bpf source", "that does not work here")
        return
    for seed in ("1", "2", "3"):
        command = ["setarch", "-R", prog("blocks"), "random", seed]
        theirs, plain, ours = observe("bpf", command), observe(source, command), without_stacks(source, command)
        for field in ("virt", "anon"):
            want = calls_of(theirs, field=field)
            for name, done in (("stops", plain), ("notifications", ours)):
                if t.balanced(done, f"{seed}, {name}: books balance"):
                    got = calls_of(done, field=field)
                    problems = [f"call {i}: {one}, bpf {other}" for thread in want
                                for i, (one, other) in enumerate(zip(got[thread], want[thread])) if one != other]
                    t.none(problems, f"{seed}, {name}: calls and their {field}")
                    t.equal([len(rows) for rows in got.values()], [len(rows) for rows in want.values()], "and no call more")


@case(sources=PTRACE)
def limit_of_mappings(t, source):
    """An munmap in the middle of a mapping fails where there may be no mapping more."""
    alone = run([prog("blocks"), "limit"])
    done = without_stacks(source, [prog("blocks"), "limit"])
    t.balanced(done)
    t.equal((alone.out, done.out), ("Cannot allocate memory\n",) * 2, "it fails, alone and watched", done)
    last = [row for row in done.books.rows if row["name"] == "munmap" and row["args"]["len"] == 4096][-1]
    t.equal((last["error"], last["virt"]), ("ENOMEM", 0), "and so says its row")


@case(sources=PTRACE)
def notified_calls_and_signals(t, source):
    """A signal that comes while a call waits for its answer is no reason to fail: neither mmap nor munmap knows EINTR."""
    steps = harness.times(1500)
    for threads in (1, 8):
        done = without_stacks(source, [prog("blocks"), "signals", str(threads), str(steps)])
        if not t.balanced(done, f"{threads} thread(s): books balance"):
            continue
        signals, failed, _ = (int(word) for word in done.out.split() if word.isdigit())
        t.ok(signals > harness.times(100), f"{threads} thread(s): {signals} signals", done)
        t.equal(failed, 0, f"{threads} thread(s): no call fails", done)
        calls = collections.Counter((row["tid"], row["name"]) for row in done.books.rows
                                    if row["cause"] == "syscall" and row["error"] is None and row["virt"])
        if threads > 1:
            leader = done.books.end["exit"] and min(tid for tid, _ in calls)
            t.equal({(count, name) for (tid, name), count in calls.items() if tid != leader and name in ("mmap", "munmap")},
                    {(steps, "mmap"), (steps, "munmap")}, "each call is one row", calls)


@case(sources=PTRACE)
def notified_calls_and_job_control(t, source):
    """Stopped and continued all the time."""
    with Observer(source, "--stacks", "none", "--", prog("blocks"), "signals", "4", str(harness.times(1500))) as observer:
        tracer = observer.attached().pid
        wait_until(lambda: children_of(tracer), "the command to begin", 10)
        def command():
            return next((pid for pid in children_of(tracer) if comm_of(pid) == "blocks"), None)
        wait_until(lambda: command() or observer.popen.poll() is not None, "the command to exec", 10)
        pid = command()
        for _ in range(60):
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(pid, signal.SIGSTOP)
                os.kill(pid, signal.SIGCONT)
        rc, out, err = observer.finish()
    done = harness.Run(rc, out, err, observer.path)
    t.balanced(done)
    t.ok(", 0 calls failed" in out, "no call fails", done)


@case(sources=PTRACE)
def notified_calls_and_children(t, source):
    """Children that do the same, as copies and as programs of their own."""
    done = without_stacks(source, [prog("blocks"), "forks", "8"])
    t.balanced(done)
    t.equal(sorted({row["cause"] for row in done.books.rows if row["cause"] in ("fork", "exec")}), ["exec", "fork"], "both ways")


@case(sources=PTRACE)
def notified_calls_end_with_the_watch(t, source):
    """heaptrace is killed, or lets go, while calls wait for their answers: none fails, and the keeper answers them."""
    for name, options, number in (("kill -9", (), signal.SIGKILL), ("--duration", ("-d", "0.1"), None)):
        with Observer(source, "--stacks", "none", *options, "--", prog("blocks"), "signals", "8", str(harness.times(3000)),
                      stderr=subprocess.DEVNULL) as observer:
            observer.attached()
            if number:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    observer.popen.wait(0.1)
                observer.popen.send_signal(number)
            observer.popen.wait(harness.PATIENCE)
            if number != signal.SIGKILL:
                t.none(harness.Run(0, "", "", observer.path).books.problems(), f"{name}: the books are closed and balance")
            said = observer.popen.stdout.readline().decode()
            t.ok(", 0 calls failed" in said, f"{name}: no call fails", said)


@case(sources=PTRACE)
def notified_calls_are_cut_short(t, source):
    """The command is killed, whatever it is doing."""
    chance = random.Random(11)
    for n in range(6):
        threads = "1" if n % 2 else "8"
        script = f"{prog('blocks')} endless {threads} & sleep 0.0{chance.randrange(1, 9)}; kill -9 $!; wait $!"
        t.balanced(without_stacks(source, ["/bin/sh", "-c", script]), f"{threads} thread(s), kill -9", rc=137)


@case(sources=PTRACE)
def nothing_is_given_to_the_command(t, source):
    """Its descriptors and its environment are those that it has alone."""
    command = [PYTHON, "-S", "-E", "-c", "import os; print(sorted(os.listdir('/proc/self/fd')), sorted(os.environ))"]
    alone = run(command)
    done = without_stacks(source, command)
    t.equal((done.rc, done.out), (0, alone.out), "descriptors and environment", done)
    with Observer(source, "--stacks", "none", "--", prog("hold"), "2") as observer:
        observer.until("ready")
        pid = observer.ask("mark begun")["pid"]
        t.ok(not notifies(pid), "the listener is not its own")


@case(sources=PTRACE)
def listener_of_the_target(t, source):
    """A program may have one listener: the tracer's, or its own where the tracer does without."""
    command = [prog("blocks"), "listener"]
    done = observe(source, command, "--stacks", "none", "--no-seccomp")
    t.balanced(done, "--no-seccomp")
    t.equal(done.out, "a listener\n", "--no-seccomp: the program gets its listener", done)
    if not can_notify():
        t.skip("a listener beside the tracer's", "the tracer can have none here")
        return
    done = without_stacks(source, command)
    t.balanced(done)
    t.equal(done.out, "Device or resource busy\n", "beside the tracer's it gets none", done)
    t.equal(done.err.count("--no-seccomp"), 1, "which is said once, with what to do", done)


@case(sources=PTRACE)
def listener_of_others(t, source):
    """Where somebody else listens already, as the manager of a container may, calls stop."""
    path = new_path(".jsonl")
    done = run([prog("blocks"), "listened", HEAPTRACE, "-s", source, "--stacks", "none", "-f", "jsonl", "-o", path, "--",
                prog("blocks"), "random", "1"])
    done.path = path
    t.balanced(done)


@case(sources=PTRACE)
def without_descriptors_of_others(t, source):
    """A container that forbids pidfd_getfd, by which the tracer would take the listener: calls stop."""
    refuse = compiled(REFUSE)
    if not refuse:
        t.skip("without pidfd_getfd", "no compiler")
        return
    path = new_path(".jsonl")
    done = run([refuse, "438", HEAPTRACE, "-s", source, "--stacks", "none", "-f", "jsonl", "-o", path, "--", prog("blocks"),
                "random", "1"])
    done.path = path
    t.balanced(done)


@case(sources=PTRACE)
def ordinary_user(t, source):
    """Nobody in particular, who says nothing of sources: the target in all orders with all allocators, threads over each
    other, python3."""
    place = new_path("-nobody")
    os.mkdir(place)
    weak = []
    if os.geteuid() == 0:
        os.chown(place, NOBODY, NOBODY)
        weak = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    commands = [[TARGET, "--alloc", alloc, "--order", order, "--sizes", SIZES] for alloc in ALLOCATORS for order in ORDERS]
    commands += [[prog("storm"), "shared", "8", "100"], [prog("storm"), "own", "8", "20"],
                 ["/usr/bin/env", "python3", "-c", "x=[bytearray(300000) for _ in range(200)]; del x"]]
    for n, command in enumerate(commands):
        path, name = os.path.join(place, f"{n}.jsonl"), " ".join(os.path.basename(word) for word in command[:5])
        done = run([*weak, HEAPTRACE, "-f", "jsonl", "-o", path, "--", *command],
                   env=harness.environment(PATH="/usr/local/bin:/usr/bin:/bin"))
        done.path = path
        if t.balanced(done, name):
            t.equal(done.books.header["source"], source, f"{name}: by this source")


if __name__ == "__main__":
    folder()
    harness.main()
