# SPDX-License-Identifier: GPL-2.0-only
"""What an experiment works with: it runs commands under heaptrace, states findings that rows decide, and shows evidence.

An experiment is one module of this folder and one word in run's list: TITLE, QUESTION, POST (what the post that this goes
back to has said of it; may be empty), RUNS (name -> command line) and findings(lab), which calls lab.finding for each
sentence. In a command line, "target" is the program of this project, and "prog:NAME" one of the tests'
workloads, and "preload:NAME" runs the rest on another malloc."""

import dataclasses
import glob
import os
import shlex

import harness
from observed import Observed

# As the dynamic loader knows them: the first that is there.
LIBRARIES = {
    "jemalloc": ("libjemalloc.so.2",),
    "tcmalloc": ("libtcmalloc_minimal.so.4",),
    "mimalloc": ("libmimalloc.so.2.0", "libmimalloc.so.2"),
}


def library(name):
    """The path of another malloc's library; FileNotFoundError where it is not installed."""
    if name in ("slab", "operator"):
        return os.path.join(os.path.dirname(harness.TARGET), "libheaptrace-alloc.so")
    for file in LIBRARIES[name]:
        for path in sorted(glob.glob(f"/usr/lib/*/{file}") + glob.glob(f"/usr/lib*/{file}")):
            return path
    raise FileNotFoundError(f"{LIBRARIES[name][0]} is not installed")


@dataclasses.dataclass
class Finding:
    text: str  # one sentence with its numbers
    holds: bool
    saw: tuple  # what is shown where it does not hold


class Lab:
    """One experiment in progress. short: fewer and smaller runs, the same findings. seed: where shuffles begin."""

    def __init__(self, module, source, short, seed):
        self.module, self.source, self.short, self.seed = module, source, short, seed
        self.name = module.__name__
        self.found, self.parts, self.plots, self.skipped = [], [], [], []
        self.shown, self.runs, self._count = [], _Runs(self), 0

    def run(self, command, name=None, status=0, shown=True, **how):
        """Runs a command line under heaptrace. Its books must balance, whatever else it is about."""
        self._count += 1
        path = os.path.join(harness.folder(), f"{self.name}-{self._count}.jsonl")
        done = harness.observe(self.source, self.arguments(command), "--stacks", "none", path=path, timeout=300, **how)
        if shown:
            self.shown.append(command)
        if done.rc != status:
            raise RuntimeError(f"{command}: status {done.rc}, not {status}: {done}")
        run = Observed(name or command, command, done.rc, done.out, done.err, path)
        problems = run.books.problems()
        if problems:
            raise RuntimeError(f"{command}: the books: {problems[:5]}")
        os.unlink(path)
        return run

    @staticmethod
    def arguments(command):
        """The words of a command line as they are run. What sets the environment goes through env(1), so that heaptrace
        itself is not touched by it."""
        words, env = [], []
        for word in shlex.split(command):
            if not words and word.startswith("preload:"):
                name = word.partition(":")[2]
                env.append(f"LD_PRELOAD={library(name)}")
                if name in ("slab", "operator"):
                    env.append(f"HEAPTRACE_ALLOC={name}")
            elif not words and "=" in word:
                env.append(word)
            elif word in ("target", "target-musl"):
                words.append(harness.TARGET if word == "target" else os.path.join(os.path.dirname(harness.TARGET), "lab", word))
            elif word.startswith("prog:"):
                words.append(harness.prog(word.partition(":")[2]))
            else:
                words.append(word)
        return (["env", *env] if env else []) + words

    def finding(self, text, holds, *saw):
        """One sentence, and whether the rows say so."""
        self.found.append(Finding(text, bool(holds), saw))
        self.parts.append(("finding", text))

    def table(self, caption, head, rows):
        self.parts.append(("table", caption, head, [[str(cell) for cell in row] for row in rows]))

    def note(self, text):
        """A paragraph of the page that claims nothing that is not shown beside it."""
        self.parts.append(("note", text))

    def quote(self, caption, lines):
        """Lines as a program has printed them."""
        self.parts.append(("quote", caption, lines))

    def plot(self, run, caption, first="opening", last="closing"):
        """VIRT and RSS of a run over time, between two marks."""
        number = len(self.plots) + 1
        self.plots.append((f"{self.name}{'' if number == 1 else '-' + str(number)}.svg", run, caption, first, last))
        self.parts.append(("plot", self.plots[-1][0], caption))

    def skip(self, what, why):
        self.skipped.append((what, why))


class _Runs(dict):
    """The runs that the module names, each made when it is asked for."""

    def __init__(self, lab):
        super().__init__()
        self._lab = lab

    def __missing__(self, name):
        self[name] = self._lab.run(self._lab.module.RUNS[name], name)
        return self[name]
