# SPDX-License-Identifier: GPL-2.0-only
"""What `target cutoff` has found, from the rows alone: each probe is a process with marks around its block, so what its free
gave back, and by which call, is what lies between two of them. Nothing is taken from what the target says; it is compared."""

from observed import MEMORY_CALLS

WAYS = {"munmap": "unmapped", "brk": "brk lowered", "madvise": "pages dropped, addresses kept"}


class Probe:
    """One block allocated, written to and freed in a process of its own. large: the size that was freed before, or 0."""

    def __init__(self, run, mm, marks):
        self.levels = {name.partition(" ")[0]: mark for name, mark in marks.items()}
        sizes = {name.partition(" ")[0]: int(name.partition(" ")[2]) for name in marks}
        self.size, self.large = sizes["before"], sizes.get("large", 0)
        first, last = self.levels["touch"]["_line"], self.levels["free"]["_line"]
        self.freeing = [row for row in run.books.rows_of(mm) if first < row["_line"] < last]
        self.gave_back = sum(row["rss"] for row in self.freeing) < 0

    @property
    def ways(self):
        """The calls of its free that lowered RSS."""
        return sorted({row["name"] for row in self.freeing if row["rss"] < 0 and row["name"] in MEMORY_CALLS})

    def readings(self, part):
        """VIRT or RSS as the books have it before, during and after."""
        return [self.levels[step][part] for step in ("before", "touch", "free")]


class Search:
    """One search for the smallest size that gives memory back: None where none does."""

    def __init__(self, probes):
        self.kept = sorted((probe for probe in probes if not probe.gave_back), key=lambda probe: probe.size)
        self.given = sorted((probe for probe in probes if probe.gave_back), key=lambda probe: probe.size)
        self.cutoff = self.given[0].size if self.given else None

    @property
    def way(self):
        return " and ".join(WAYS[name] for name in self.given[0].ways) if self.given else ""

    def problems(self, said):
        """What does not follow from the rows, or is not what the target says of the same search."""
        found = []
        if self.cutoff is None and self.kept[-1].size != said["max"]:
            found.append(f"nothing came back up to {self.kept[-1].size}, but {said['max']} was to be tried")
        if self.cutoff is not None and (self.kept[-1].size if self.kept else 0) != self.cutoff - 1:
            found.append(f"{self.cutoff} comes back, and the largest that is kept is {self.kept[-1:]}")
        if said["cutoff"] != self.cutoff:
            found.append(f"the rows say {self.cutoff}, the target {said['cutoff']}")
        for probe, told in ((self.given[:1], said["given_back"]), (self.kept[-1:], said["kept"])):
            rows = [(one.size, one.readings("virt"), one.readings("rss")) for one in probe]
            if rows != ([(told["size"], told["virt"], told["rss"])] if told else []):
                found.append(f"the rows say {rows}, the target {told}")
        return found


class Cutoffs:
    """Both searches of one run of `target cutoff --json`, and what is wrong with them."""

    def __init__(self, run):
        marks = {}
        for mark in run.marks:
            marks.setdefault(mark["_mm"], {})[mark["name"]] = mark
        probes = [Probe(run, mm, names) for mm, names in marks.items()]
        self.fresh = Search([probe for probe in probes if not probe.large])
        self.after = Search([probe for probe in probes if probe.large])
        self.count = len(probes)
        self.problems = [f"{run.name}: {problem}" for search, name in ((self.fresh, "fresh"), (self.after, "after"))
                         for problem in search.problems(run.document[name])]
