#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""With fewer rights, or on a kernel that lacks something: the bpf source says in one line what is missing, ptrace takes over
where no source was asked for, and nobody watches a process that the kernel would not let them trace."""

import ctypes
import functools
import grp
import os
import pwd
import shutil
import struct

import harness
import machine
from bpf_programs import BPF_CALL
from harness import HEAPTRACE, Process, new_path, once, prog, root_only, run

NOBODY = 65534
EPERM, EINVAL, ENOSYS = 1, 22, 38
PARANOID = "/proc/sys/kernel/perf_event_paranoid"
# include/uapi/linux/capability.h
CAPS = {"DAC_READ_SEARCH": 2, "KILL": 5, "SYS_PTRACE": 19, "PERFMON": 38, "BPF": 39, "CHECKPOINT_RESTORE": 40}


def with_caps(*names):
    """As nobody, with these capabilities and no other."""
    caps = ",".join(["-all", *("+" + name for name in names)])
    return ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--bounding-set=+all",
            f"--inh-caps={caps}", f"--ambient-caps={caps}"]


def with_faults(function):
    """A case in which the bpf source works without root. On aarch64 it has page faults from perf events, which Debian's kernels
    keep from CAP_PERFMON too while the setting is at 3: it is at 2 then."""
    @functools.wraps(function)
    def run_case(t):
        if os.uname().machine != "aarch64" or os.geteuid() != 0 or int(machine.read(PARANOID) or 0) <= 2:
            return function(t)
        with machine.settings({PARANOID: 2}):
            return function(t)
    return run_case


def place():
    """A new output file in a folder of nobody's."""
    path = new_path("-rights")
    os.mkdir(path)
    os.chown(path, NOBODY, NOBODY)
    return os.path.join(path, "out.jsonl")


def watch(before, *arguments, **how):
    """BEFORE heaptrace -f jsonl -o FILE ARGUMENTS"""
    path = place()
    done = run([*before, HEAPTRACE, "-f", "jsonl", "-o", path, *arguments], **how)
    done.path = path
    return done


def refused(t, done, words, name):
    t.equal(done.rc, 125, f"{name}: status 125", done)
    t.equal(len(done.err.strip().splitlines()), 1, f"{name}: one line", done)
    t.none([word for word in words if word not in done.err], f"{name}: it says {', '.join(words)}", done)


def falls_back(t, before, words, name, **how):
    """-s bpf is refused for what WORDS say; without it ptrace watches, and says the same."""
    refused(t, watch(before, "-s", "bpf", "--", "/bin/true", **how), words, name)
    done = watch(before, "--", "/bin/true", **how)
    if t.balanced(done, f"{name}: ptrace takes over"):
        t.equal(done.books.header["source"], "ptrace", f"{name}: the header says so")
        t.none([word for word in words if word not in done.err], f"{name}: and why", done)
    doctor = run([*before, HEAPTRACE, "doctor"], **how)
    t.ok(doctor.rc == 0 and "takes ptrace" in doctor.out, f"{name}: doctor says what is taken", doctor)
    t.ok(any(line.startswith("no ") and any(word in line for word in words) for line in doctor.out.splitlines()),
         f"{name}: and what is missing", doctor.out)


@once
def one_capability_alone(t):
    if root_only(t, "give rights away"):
        falls_back(t, with_caps("perfmon"), ["CAP_BPF", "is missing"], "without CAP_BPF")
        falls_back(t, with_caps("bpf"), ["CAP_PERFMON", "is missing"], "without CAP_PERFMON")


@once
@with_faults
def both_capabilities(t):
    """They are enough for one's own processes."""
    if not root_only(t, "give rights away"):
        return
    caps = with_caps("bpf", "perfmon")
    done = watch(caps, "-s", "bpf", "--", prog("family"), "fork")
    t.balanced(done, "CAP_BPF and CAP_PERFMON: a command")
    t.agrees(done)
    with Process(["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", prog("hold"), "1"]) as held:
        held.until("ready")
        held.ask("map 9")
        t.balanced(watch(caps, "-s", "bpf", "-d", "0.2", "-p", str(held.pid)), "CAP_BPF and CAP_PERFMON: -p of their own")


@once
@with_faults
def by_capsh(t):
    """The same by a program of the capabilities' own makers: it sets all at once and executes by a shell."""
    if not root_only(t, "give rights away"):
        return
    if not shutil.which("capsh"):
        t.skip("all", "capsh is not installed")
        return
    for caps, enough in (("cap_bpf,cap_perfmon", True), ("cap_bpf", False), ("cap_perfmon", False)):
        before = ["capsh", "--keep=1", f"--user={pwd.getpwuid(NOBODY).pw_name}", f"--inh={caps}", f"--addamb={caps}",
                  "--shell=/bin/sh", "--", "-c", 'exec "$@"', "sh"]
        done = watch(before, "-s", "bpf", "--", prog("family"), "fork")
        if enough:
            t.balanced(done, f"capsh with {caps}")
            t.agrees(done)
        else:
            refused(t, done, ["is missing", "CAP_PERFMON" if caps == "cap_bpf" else "CAP_BPF"], f"capsh with {caps}")


@once
def perf_is_forbidden(t):
    """kernel.perf_event_paranoid = 3: Debian's kernels let no ordinary user have perf events then, others do. Faults come from
    what /proc says, and the header does not claim to see them."""
    plain = with_caps()
    if not root_only(t, "give rights away"):
        return
    if not os.access(PARANOID, os.W_OK):
        t.skip("all", "no perf events here, or no right to restrict them")
        return
    with machine.settings({PARANOID: 3}):
        forbidden = run([*plain, prog("sampled")]).rc == 77
        for command in ([prog("maps")], [prog("family"), "fork"]):
            done, name = watch(plain, "-s", "ptrace", "--", *command), os.path.basename(command[0])
            if t.balanced(done, name):
                t.agrees(done, name=f"{name}: readings agree")
                t.equal("faults" in done.books.header["caps"], not forbidden, f"{name}: its header says whether faults are seen")
        doctor = run([*plain, HEAPTRACE, "doctor"]).out
    found = [line for line in doctor.splitlines() if "perf events" in line]
    t.equal([line.startswith("no ") for line in found], [forbidden], "doctor says so too", doctor)
    t.ok(found and "perf_event_paranoid" in found[0], "and by which setting", *found)


@once
@with_faults
def processes_of_others(t):
    """The programs could watch anybody; whom the user may watch is the kernel's rule for ptrace."""
    if not root_only(t, "give rights away"):
        return
    with Process([prog("hold"), "1"]) as held:
        held.until("ready")
        held.ask("map 9")
        pid = str(held.pid)
        refused(t, watch(with_caps("bpf", "perfmon"), "-s", "bpf", "-d", "0.2", "-p", pid), ["no right", "CAP_SYS_PTRACE"],
                "a process of root")
        t.equal(watch(with_caps("bpf", "perfmon"), "-d", "0.2", "-p", pid).rc, 125, "nor by any other source")
        t.balanced(watch(with_caps("bpf", "perfmon", "sys_ptrace"), "-s", "bpf", "-d", "0.2", "-p", pid),
                   "with CAP_SYS_PTRACE")
        t.equal(held.ask("mark on")["name"], "mark on", "the process has seen nothing of it")


def forbid_bpf(error):
    """Runs in the child: from here on bpf(2) fails with this error, as under a container's profile."""
    def code(op, jt, jf, k):
        return struct.pack("HBBI", op, jt, jf, k)
    program = b"".join((code(0x20, 0, 0, 0), code(0x15, 0, 1, BPF_CALL),
                        code(0x06, 0, 0, 0x00050000 | error), code(0x06, 0, 0, 0x7fff0000)))
    libc, memory = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(program)
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(memory)))

    def apply():
        # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP
        if not memory or libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, head, 0, 0):
            os._exit(99)
    return apply


@once
def bpf_is_forbidden(t):
    root = os.geteuid() == 0
    for error, words in ((EPERM, ["refused", "seccomp"] if root else ["CAP_BPF"]), (EINVAL, ["ring buffer", "5.8"]),
                         (ENOSYS, ["no bpf(2)"])):
        falls_back(t, [], words, f"bpf(2) fails with {os.strerror(error)}", preexec_fn=forbid_bpf(error))


@once
def no_type_information(t):
    if not root_only(t, "give rights away"):
        return
    hide = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /sys/kernel/btf && exec \"$@\"", "sh"]
    if run([*hide, "/bin/true"]).rc:
        t.skip("all", "nothing can be mounted here")
        return
    falls_back(t, hide, ["/sys/kernel/btf/vmlinux"], "no BTF")


def caps_of(pid):
    """What /proc says that it has in force, or can have again; whether it can gain any by an exec."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    held = int(fields["CapEff"], 16) | int(fields["CapPrm"], 16) | int(fields["CapAmb"], 16)
    return {name for name, bit in CAPS.items() if held >> bit & 1}, held & ~sum(1 << bit for bit in CAPS.values()), fields["NoNewPrivs"].strip()


def running(t, command, may, name, command_caps=None):
    """What the observer may hold while it runs, and what the command under it must."""
    path = place()
    with Process([*command, "-s", "bpf", "-f", "jsonl", "-o", path, "--", prog("hold"), "0"]) as observer:
        observer.until("ready")
        child = observer.ask("map 9")["pid"]
        caps, others, never = caps_of(observer.pid)
        t.ok({"BPF", "PERFMON"} <= caps <= may and not others, f"{name}: the observer keeps only what it needs", caps, hex(others))
        t.equal(never, "1", f"{name}: and can gain nothing")
        if command_caps is not None:
            t.equal(caps_of(child)[:2], (command_caps, 0), f"{name}: its command has what it would have without")
        observer.say("quit")
        done = harness.Run(*observer.finish(), path)
    t.balanced(done, name)
    t.agrees(done)


@once
@with_faults
def given_up(t):
    if root_only(t, "give rights away"):
        running(t, [HEAPTRACE], set(CAPS), "as root")
        running(t, [*with_caps("bpf", "perfmon"), HEAPTRACE], {"BPF", "PERFMON"}, "with two", {"BPF", "PERFMON"})


@once
@with_faults
def file_capabilities(t):
    """make install SETCAP=1: members of the group observe without root, nobody else can run it."""
    if not root_only(t, "give rights away"):
        return
    missing = [name for name in ("make", "setcap", "setpriv") if not shutil.which(name)]
    if missing:
        t.skip("all", f"not installed: {', '.join(missing)}")
        return
    root, group = new_path("-installed"), grp.getgrnam("adm").gr_gid
    done = run(["make", "-s", "-o", "all", "install", "SETCAP=1", f"SETCAP_GROUP={group}", "PREFIX=/usr", f"DESTDIR={root}",
                f"BUILD={os.path.dirname(HEAPTRACE)}"])
    if not t.equal(done.rc, 0, "it is installed", done):
        return
    program = f"{root}/usr/bin/heaptrace"
    # setpriv itself still has root's rights when it executes: env has none.
    plain = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--inh-caps=-all"]
    member, stranger = [*plain, "--groups", str(group), "env", program], [*plain, "--clear-groups", "env", program]
    running(t, member, {"BPF", "PERFMON"}, "a member of the group", set())
    t.ok("--source auto takes bpf" in run([*member, "doctor"]).out, "doctor says that it works", run([*member, "doctor"]))
    with Process([*plain, "--clear-groups", prog("hold"), "0"]) as held:
        held.until("ready")
        path = place()
        done = run([*member, "-s", "bpf", "-f", "jsonl", "-o", path, "-d", "0.2", "-p", str(held.pid)])
        done.path = path
        t.balanced(done, "a member of the group: -p of their own")
    refused = run([*stranger, "--version"])
    t.ok(refused.rc != 0 and "ermission denied" in refused.err, "nobody else can run it", refused)
    t.equal(run([HEAPTRACE, "--version"]).rc, 0, "which is not for want of the program")


if __name__ == "__main__":
    harness.main()
