# SPDX-License-Identifier: GPL-2.0-only
"""VIRT and RSS over time as an SVG, made from the rows: levels as lines, causes as marks on them, the program's own marks as
bands. Time runs evenly within a step, and what a step took is written below it; but each step has room of its own, as
most of what there is to see takes no time. A run of faults is drawn as the ramp that it is."""

import bisect
import itertools
import statistics
from xml.sax.saxutils import escape

from observed import MB

WIDTH, LEFT, RIGHT, TOP, PLOT, LEGEND = 960, 74, 16, 78, 300, 66
MANY, WAIT = 15, 10  # rows of a step; times the usual
NAME_LINES, LINE = 4, 15  # of the names of steps, above the plot
INK, FAINT, GRID, BAND = "#222222", "#666666", "#dddddd", "#f3f5f7"
LINES = (("virt", "VIRT", "#4878b0"), ("rss", "RSS", "#c0563a"))
# cause or call: how its mark is drawn. Faults are the slopes of RSS; they need none.
MARKS = {
    "brk": ("#222222", "M-5 4 L5 4 L0 -5 Z"),
    "mmap": ("#2a8a4a", "M-5 -5 H5 V5 H-5 Z"),
    "munmap": ("#b03060", "M-5 -5 L5 5 M5 -5 L-5 5"),
    "madvise": ("#8a55b5", "M0 -6 L6 0 L0 6 L-6 0 Z"),
    "mprotect": ("#b08a00", "M0 -4 A4 4 0 1 0 0.01 -4 Z"),
    "kernel": ("#008b8b", "M-6 0 H6 M0 -6 V6"),
}
MARKS_MAX = 60  # of one kind: where there are more, every n-th is drawn, and the legend says so


def _steps(top):
    """Grid values in bytes: 1, 2 or 5 times a power of ten of kB or MB, four to eight of them."""
    unit = MB if top >= 4 * MB else 1024
    step, factor = 1, (2, 2.5, 2)
    turn = 0
    while top / unit / step > 7:
        step *= factor[turn % 3]
        turn += 1
    return [int(i * step * unit) for i in range(int(top / unit / step) + 1)], unit


class Plot:
    def __init__(self, run, first, last):
        self.marks = [mark for mark in run.marks if run.mark(first)["_line"] <= mark["_line"] <= run.mark(last)["_line"]]
        self.rows = run.between(first, last)
        self.begin, self.end = self.marks[0]["ts_ns"], max(self.marks[-1]["ts_ns"], self.marks[0]["ts_ns"] + 1)
        self.start = {part: self.marks[0][part] for part, _, _ in LINES}
        self.high = max([mark[part] for mark in self.marks for part, _, _ in LINES] +
                        [row[part + "_after"] for row in self.rows for part, _, _ in LINES])
        self.parts, self.last_duration, self.name_lines = [], 0, 1
        self._place()

    def _place(self):
        """Where each mark stands. Half of the width is shared evenly by the steps, half by their time; what lies before a
        block gets little, as nothing happens there."""
        steps = list(zip(self.marks, self.marks[1:]))
        even = [0.15 if self.name(mark["name"]) is None else 1 for _, mark in steps]
        width, x, self.places = WIDTH - LEFT - RIGHT, LEFT, [(self.begin, LEFT)]
        for share, (before, mark) in zip(even, steps):
            left = x
            x += width * (0.5 * share / sum(even) + 0.5 * (mark["ts_ns"] - before["ts_ns"]) / (self.end - self.begin))
            self.places += [(ts, left + (x - left) * part) for ts, part in self._even(before["ts_ns"], mark["ts_ns"])]

    def _even(self, begin, end):
        """Times of a step, its end the last, and which part of its width lies before each. Where it has many rows, waits
        between them (for a CPU, mostly) are cut to a few times of what is usual."""
        times = sorted({ts for ts in (row["ts_ns"] for row in self.rows) if begin < ts < end}) + [end]
        if len(times) < MANY:
            return [(end, 1)]
        gaps = [ts - before for before, ts in zip([begin, *times], times)]
        longest = WAIT * statistics.median(gaps)
        ends = list(itertools.accumulate(min(gap, longest) for gap in gaps))
        return [(ts, at / ends[-1]) for ts, at in zip(times, ends)]

    def x(self, ts):
        at = min(max(bisect.bisect_left(self.places, (ts,)), 1), len(self.places) - 1)
        (low, left), (high, right) = self.places[at - 1:at + 1]
        return left + (right - left) * min(max(ts - low, 0) / max(high - low, 1), 1)

    def y(self, level):
        return TOP + PLOT * (1 - level / (self.high * 1.06))

    def add(self, text):
        self.parts.append(text)

    def text(self, x, y, words, size=12, anchor="start", colour=INK, extra=""):
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"{extra}>{escape(words)}</text>')

    def grid(self):
        values, unit = _steps(self.high * 1.06)
        for value in values:
            y = self.y(value)
            self.add(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
            self.text(LEFT - 8, y + 4, f"{value / unit:,.10g}", 12, "end", FAINT)
        self.text(LEFT - 8, TOP - 8, "MiB" if unit == MB else "KiB", 12, "end", FAINT)

    def bands(self):
        """What the program did between two of its marks; the mark that ends a step has its name. Names that would touch
        are put on more lines, then left out."""
        ends, number = [LEFT - 100] * NAME_LINES, 0
        for before, mark in zip(self.marks, self.marks[1:]):
            left, right = self.x(before["ts_ns"]), self.x(mark["ts_ns"])
            number += self.name(mark["name"]) is not None
            if number % 2 and self.name(mark["name"]):
                self.add(f'<rect x="{left:.1f}" y="{TOP}" width="{max(right - left, 0.5):.1f}" height="{PLOT}" fill="{BAND}"/>')
            name = self.name(mark["name"])
            if name is None:
                continue
            self.duration((left + right) / 2, mark["ts_ns"] - before["ts_ns"])
            width = 6.3 * len(name)
            at = min(max((left + right) / 2 - width / 2, LEFT), WIDTH - RIGHT - width)
            for line, end in enumerate(ends):
                if at > end + 10:
                    y = TOP - 10 - LINE * line
                    self.text(at, y, name, 11, colour=FAINT)
                    self.add(f'<line x1="{(left + right) / 2:.1f}" x2="{(left + right) / 2:.1f}" y1="{y + 3:.1f}" y2="{TOP}" '
                             f'stroke="{GRID}"/>')
                    ends[line] = at + width
                    self.name_lines = max(self.name_lines, line + 1)
                    break

    def duration(self, x, ns):
        words = f"{ns / 1e6:,.0f} ms" if ns >= 1e7 else f"{ns / 1e6:.1f} ms" if ns >= 1e5 else f"{ns / 1e3:.0f} µs"
        half = 3.2 * len(words)
        if x - half > self.last_duration:
            self.text(x, TOP + PLOT + 18, words, 11, "middle", FAINT)
            self.last_duration = x + half + 6

    @staticmethod
    def name(name):
        word, _, rest = name.partition(" ")
        size = rest.partition(" ")[0]
        if word in ("before", "opening", "closing"):
            return None
        if word in ("alloc", "touch", "free", "keep", "trim") and size.isdigit():
            bytes_ = int(size)
            short = f"{bytes_ // MB}M" if bytes_ >= MB and bytes_ % MB == 0 else f"{bytes_ // 1024}k"
            return f"{word} {short}"
        return name

    def points(self, part):
        """The line of a part: flat between rows, a step at a call, a ramp along a run of faults."""
        level, points = self.start[part], [(self.x(self.begin), self.y(self.start[part]))]
        times = [row["ts_ns"] for row in self.rows] + [self.end]
        stops = sorted([mark["ts_ns"] for mark in self.marks])
        for number, row in enumerate(self.rows):
            # A run of faults has the time of its first one and comes after what happened meanwhile: never go back.
            x = max(self.x(row["ts_ns"]), points[-1][0])
            points.append((x, self.y(level)))
            level = row[part + "_after"]
            if "fault" in row["cause"]:
                stop = min([t for t in stops if t >= row["ts_ns"]] + [self.end])
                x = max(x, self.x(min(max(times[number + 1], row["ts_ns"]), stop)))
            points.append((x, self.y(level)))
        return points + [(self.x(self.end), self.y(level))]

    def lines(self):
        for part, _, colour in LINES:
            kept = []
            for point in ((round(x, 1), round(y, 1)) for x, y in self.points(part)):
                if len(kept) > 1 and kept[-1][1] == point[1] == kept[-2][1]:
                    kept[-1] = point
                elif not kept or kept[-1] != point:
                    kept.append(point)
            self.add(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="' +
                     " ".join(f"{x:g},{y:g}" for x, y in kept) + '"/>')

    def causes(self):
        """Marks where a call changed something: on VIRT's line, or on RSS's where only that changed. Returns the legend."""
        found = {}
        for row in self.rows:
            kind = row["name"] if row["cause"] == "syscall" else row["cause"]
            if kind in MARKS and row["error"] is None and (row["virt"] or row["rss"] or kind == "mprotect"):
                found.setdefault(kind, []).append(row)
        legend = []
        for kind, rows in found.items():
            every = -(-len(rows) // MARKS_MAX)
            for row in rows[::every]:
                part = "rss" if row["rss"] and not row["virt"] else "virt"
                self.symbol(kind, self.x(row["ts_ns"]), self.y(row[part + "_after"]))
            legend.append((kind, f"{kind} ({len(rows):,}{'' if every == 1 else f', 1 in {every} shown'})"))
        return legend

    def symbol(self, kind, x, y):
        colour, path = MARKS[kind]
        open_ = "M-5 -5 L" in path or " M0" in path
        self.add(f'<path d="{path}" transform="translate({x:.1f} {y:.1f})" ' +
                 (f'stroke="{colour}" stroke-width="2" fill="none"/>' if open_ else f'fill="{colour}" fill-opacity="0.85"/>'))

    def legend(self, entries):
        x, y = LEFT, TOP + PLOT + 50
        for _, name, colour in LINES:
            self.add(f'<line x1="{x}" x2="{x + 22}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" stroke-width="3"/>')
            self.text(x + 28, y, name)
            x += 40 + 9 * len(name)
        x += 14
        for kind, words in entries:
            self.symbol(kind, x, y - 4)
            self.text(x + 11, y, words)
            x += 30 + 6.8 * len(words)

    def svg(self, title):
        self.bands()
        self.grid()
        self.lines()
        self.legend(self.causes())
        empty = LINE * (NAME_LINES - self.name_lines)  # above the names
        height = TOP + PLOT + LEGEND - empty
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 {empty} {WIDTH} {height}" '
                f'font-family="DejaVu Sans, Helvetica, Arial, sans-serif">\n<title>{escape(title)}</title>\n'
                f'<rect y="{empty}" width="{WIDTH}" height="{height}" fill="#ffffff"/>\n' + "\n".join(self.parts) + "\n</svg>\n")


def render(run, title, first="opening", last="closing"):
    """The text of the SVG for a run between two of its marks."""
    return Plot(run, first, last).svg(title)
