# SPDX-License-Identifier: GPL-2.0-only
"""Writes the page of the experiments; checks that the page in the repository says what the experiments find."""

import os
import re
import subprocess

import plot
from lab import LIBRARIES

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "experiments", "README.md")

HEAD = """# Where the memory went: the experiments

A [blog post](https://bolu.dev/programming/2020/06/26/heap-memory.html) once allocated blocks of 2 KiB to 2 GiB, wrote to
them, freed them, and measured VIRT and RSS before, during and after. Some sizes came back and some did not, and it had to
guess why. Here the same experiment, and others that follow from it, run under heaptrace, which knows the cause of each
change. For each there is first the question, then the finding in one sentence, then the evidence.

`make experiments` runs all of this and writes this page; nothing on it is written by hand but the sentences, and each
sentence is a check on rows: one that does not hold is not printed. `make check` runs a shorter form of the same checks.

"""

READING = """## How to read the tables

VIRT is VmSize and RSS is VmRSS of `/proc/PID/status`, in kB of 1,024 bytes, as they stand at the marks that the program
leaves before, during (written to) and after each block. What stands beside them, "its allocation" and "its free", are the
system calls between two marks and what each of them changed, as heaptrace's rows have it; "no call" means that there was
none. A chunk is glibc's word for a block with its header. In the plots, time runs evenly within a step, whose duration is
below it (but waits between many rows are cut short); a mark on a line is a call that changed it, a slope of RSS is a run of
page faults.

Each command is run as `sudo ./heaptrace -f jsonl -o FILE -- COMMAND` in `build`. Numbers that depend on nothing but the
allocator (block sizes, thresholds, kB that a call maps or unmaps, counts of calls) are the same in each run. RSS can differ
by some pages (page tables and libraries have their own ideas), what a huge page covers by up to 2 MiB, and the calls of the
slab allocator by some, as addresses do; how often a shuffle keeps a size depends on its seeds; times depend on whatever else
the machine does. `make experiments SEED=77` begins elsewhere; the findings are the same.

"""


def _output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _versions():
    """What this was run on, as far as it decides: kernel, C library, other allocators."""
    found = ["Linux " + ".".join(os.uname().release.split(".")[:2]), os.confstr("CS_GNU_LIBC_VERSION")]
    for name, package in (("jemalloc", "libjemalloc2"), ("tcmalloc (gperftools)", "libtcmalloc-minimal4"),
                          ("mimalloc", "libmimalloc2.0"), ("musl", "musl")):
        version = _output("dpkg-query", "-W", "-f", "${Version}", package)
        if version:
            found.append(f"{name} {version.split('-')[0].split('+')[0]}")
    return f"Run on {', '.join(found)}; {len(os.sched_getaffinity(0))} CPUs."


def _anchor(number, title):
    return re.sub(r"[^a-z0-9 _-]", "", f"{number} {title}".lower()).replace(" ", "-")


def _command(command):
    """As one would type it after "--"."""
    text = re.sub(r"preload:(\w+)", lambda match: "LD_PRELOAD=" + (
        LIBRARIES[match[1]][0] if match[1] in LIBRARIES else f"$PWD/libheaptrace-alloc.so HEAPTRACE_ALLOC={match[1]}"), command)
    text = re.sub(r"(^|[ \"])(target(?:-musl)?) ", lambda match: f"{match[1]}./{'lab/' * ('-' in match[2])}{match[2]} ", text)
    text = re.sub(r"prog:(\w+)", r"./tests/prog/\1", text)
    return "env " + text if "=" in text.split(" ", maxsplit=1)[0] else text


def _table(caption, head, rows):
    lines = [f"**{caption}**", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _part(part):
    kind = part[0]
    if kind == "table":
        return _table(*part[1:])
    if kind == "note":
        return part[1]
    if kind == "quote":
        return f"{part[1]}:\n\n```\n" + "\n".join(part[2]) + "\n```"
    return f"![{part[2]}]({part[1]})\n\n*{part[2]}.*"


def _section(number, lab):
    module, sentences = lab.module, [finding.text for finding in lab.found]
    blocks = [f"## {number}. {module.TITLE}", f"**Question.** {module.QUESTION}"]
    if sentences:
        blocks.append(f"**Finding.** {sentences[0]}")
    if module.POST:
        blocks.append(f"*The post:* {module.POST}")
    if sentences[1:]:
        blocks.append("What else the rows show:\n\n" + "\n".join(f"- {text}" for text in sentences[1:]))
    for what, why in lab.skipped:
        blocks.append(f"Not run: {what} ({why}).")
    parts = [part for part in lab.parts if part[0] != "finding"]
    # A picture first: it is what one looks at.
    blocks += [_part(part) for part in sorted(parts, key=lambda part: part[0] != "plot")]
    commands = list(dict.fromkeys(_command(command) for command in lab.shown))
    blocks.append("Commands:\n\n```\n" + "\n".join(commands) + "\n```")
    return "\n\n".join(blocks) + "\n"


def _beside_the_post(labs):
    """Each conclusion of the post beside what is found here."""
    rows = [(lab.module.POST, lab.found[0].text, f"[{number}](#{_anchor(number, lab.module.TITLE)})")
            for number, lab in enumerate(labs, 1) if lab.module.POST and lab.found]
    return "## The post beside the rows\n\n" + "\n".join(
        ["| the post | what the rows show | section |", "|---|---|---|"] + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def write(folder, labs, options):
    """The page and its plots into @folder, made if need be."""
    os.makedirs(folder, exist_ok=True)
    for lab in labs:
        for file, run, caption, first, last in lab.plots:
            with open(os.path.join(folder, file), "w", encoding="utf-8") as out:
                out.write(plot.render(run, caption, first, last))
    contents = "\n".join(f"{number}. [{lab.module.TITLE}](#{_anchor(number, lab.module.TITLE)})"
                         for number, lab in enumerate(labs, 1))
    with open(os.path.join(folder, "README.md"), "w", encoding="utf-8") as out:
        out.write(HEAD + _versions() + f" Shuffles begin with seed {options.seed}.\n\n" + contents + "\n\n" +
                  _beside_the_post(labs) + "\n" + READING +
                  "\n".join(_section(number, lab) for number, lab in enumerate(labs, 1)))


def _masked(text):
    """A sentence without its numbers, which differ between machines and between the long and the short form."""
    return re.sub(r"-?\d[\d,.]*\d|\d", "#", text)


def check(tap, labs):
    """The page has each finding of each experiment, numbers aside."""
    with open(PAGE, encoding="utf-8") as file:
        page = _masked(file.read())
    missing = [f"{lab.name}: {finding.text}" for lab in labs for finding in lab.found if _masked(finding.text) not in page]
    tap.none(missing, "docs/experiments/README.md says what is found", "run: make experiments")
