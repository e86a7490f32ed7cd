# SPDX-License-Identifier: GPL-2.0-only
"""Reads the jsonl output of heaptrace and checks its books against the contract, trusting nothing that it says."""

import json

PARTS = ("virt", "rss", "anon", "file", "shmem", "swap")
CAUSES = {"syscall", "fault", "kernel-fault", "kernel", "fork", "exec", "exit"}
REGIONS = {"heap", "anon", "arena", "stack", "file", "shm", "vdso", "other"}
# What a row with each cause cannot be without.
EVENT_FIELDS = ("ts_ns", "pid", "tid", "comm", "mm", "cause", "name", "args", "ret", "error", *PARTS, "virt_after",
                "rss_after", "region", "count", "stack", "stack_complete")
LEDGER_FIELDS = ("pid", "mm", "image", "opening", "closing", "proc", "by_cause", "unattributed", "lost_events",
                 "coalesced_events", "balanced")


def _no_constant(word):
    raise ValueError(f"{word} is not JSON")


def _only_once(pairs):
    """JSON allows a key twice; a reader then silently loses one."""
    seen = dict(pairs)
    if len(seen) != len(pairs):
        raise ValueError("a key occurs twice in " + ", ".join(key for key, _ in pairs))
    return seen


# Looking for keys that occur twice takes most of the time: of long outputs, it is done for the beginning and a line in 16.
_plain = json.JSONDecoder(parse_constant=_no_constant)
_strict = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_only_once)


def parse(data):
    """The records of a jsonl output, each with its line number as "_line"; ValueError where it is not valid."""
    records = []
    if data and not data.endswith(b"\n"):
        raise ValueError("the last line has no end")
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            decoder = _strict if number < 2000 or number % 16 == 0 else _plain
            record = decoder.decode(line.decode("utf-8"))
        except (UnicodeDecodeError, ValueError) as err:
            raise ValueError(f"line {number}: {err}: {line[:200]!r}") from None
        record["_line"] = number
        records.append(record)
    return records


class Books:
    """The records of one output, sorted by their types and by mm."""

    def __init__(self, data):
        self.records = parse(data)
        self.header = self.one("header")
        self.end = self.one("end")
        self.rows = self.of("event")
        self.marks = self.of("mark")
        self.ledgers = {record["mm"]: record for record in self.of("ledger")}
        self._by_mm = {}
        for row in self.rows:
            self._by_mm.setdefault(row["mm"], []).append(row)
        self._place_marks()

    def of(self, kind):
        return [record for record in self.records if record.get("type") == kind]

    def one(self, kind):
        found = self.of(kind)
        return found[0] if found else None

    def rows_of(self, mm):
        return self._by_mm.get(mm, [])

    def _place_marks(self):
        """Gives each mark its mm (that of the process at that line) and the level of the books there."""
        current, sums = {}, {}
        for record in self.records:
            if record.get("type") == "event" and record["mm"]:
                mm = record["mm"]
                # Rows about a foreign mm (a fork under the parent's pid) do not move the process to it.
                if record["cause"] in ("exec", "fork") or record["pid"] not in current:
                    current[record["pid"]] = mm
                total = sums.setdefault(mm, dict.fromkeys(PARTS, 0))
                for part in PARTS:
                    total[part] += record[part]
            elif record.get("type") == "mark":
                mm = record.get("mm") or current.get(record["pid"])
                record["_mm"] = mm
                record["_sum"] = dict(sums.get(mm, dict.fromkeys(PARTS, 0)))

    def level(self, mark):
        """Opening plus all rows before the mark: what the books say stood at it. Parts that are not known are left out."""
        opening = self.ledgers.get(mark["_mm"], {}).get("opening", {})
        return {part: opening[part] + mark["_sum"][part] for part in PARTS if part in opening}

    def step(self, name, pid=None):
        """The rows between the marks "NAME {" and "NAME }" in their mm, and the two marks; ValueError where missing."""
        first = last = None
        for mark in self.marks:
            if pid is not None and mark["pid"] != pid:
                continue
            if mark["name"] == name + " {":
                first = mark
            elif mark["name"] == name + " }" and first:
                last = mark
                break
        if not last:
            raise ValueError(f"no step {name!r} among the marks {[mark['name'] for mark in self.marks][:60]}")
        return [row for row in self.rows_of(first["_mm"]) if first["_line"] < row["_line"] < last["_line"]]

    def problems(self, coalesced=False, filtered=False, unfinished=False):
        """All that is wrong with the books, as lines. @coalesced: rows may have been folded. @filtered: rows are hidden."""
        found = self._frame_problems(coalesced, unfinished)
        for row in self.rows:
            found += _row_problems(row, self.header["page_size"] if self.header else 4096)
        for mm in sorted({row["mm"] for row in self.rows} - set(self.ledgers)):
            if not unfinished:
                found.append(f"mm {mm} has rows but no ledger")
        for ledger in self.of("ledger"):
            found += _ledger_problems(ledger, coalesced)
            if not filtered:
                found += self._sum_problems(ledger)
        for mark in [] if filtered else self.marks:
            level = self.level(mark)
            wrong = {part: (mark[part], level[part]) for part in level if mark.get(part, level[part]) != level[part]}
            if wrong:
                found.append(f"line {mark['_line']}: the mark's own level is not that of the rows before it: {wrong}")
        return found

    def _frame_problems(self, coalesced, unfinished):
        found = []
        if not self.records or self.records[0].get("type") != "header":
            return ["the first record is no header"]
        kinds = [record.get("type") for record in self.records]
        known = {"header", "event", "mark", "sample", "ledger", "lost", "end"}
        found += [f"line {i}: unknown type {kind!r}" for i, kind in enumerate(kinds, 1) if kind not in known]
        if kinds.count("header") != 1 or self.header.get("version") != 1:
            found.append(f"header: {self.header}")
        for field in ("source", "caps", "page_size", "cmd", "start_ns"):
            if field not in self.header:
                found.append(f"the header lacks {field}")
        if not unfinished and (kinds.count("end") != 1 or kinds[-1] != "end"):
            found.append(f"the last record is {kinds[-1]!r}, {kinds.count('end')} end records")
        for lost in self.of("lost"):
            if not lost["detail"] or not coalesced:
                found.append(f"lost: {lost}")
        if len(self.ledgers) != kinds.count("ledger"):
            found.append("an mm has two ledgers")
        return found

    def _sum_problems(self, ledger):
        """opening + rows = closing, the running levels, the exit row, and by_cause."""
        found, where = [], f"mm {ledger['mm']} (pid {ledger['pid']}, {ledger['image']})"
        opening, closing = ledger["opening"], ledger["closing"]
        rows = self.rows_of(ledger["mm"])
        sums = dict.fromkeys(PARTS, 0)
        exits = [row for row in rows if row["cause"] == "exit"]
        if len(exits) > 1 or (exits and rows[-1] is not exits[0]):
            found.append(f"{where}: {len(exits)} exit rows, last row line {rows[-1]['_line']}")
        for row in rows:
            for part in PARTS:
                sums[part] += row[part]
            for part in ("virt", "rss"):
                if row[part + "_after"] != opening[part] + sums[part]:
                    found.append(f"{where}: line {row['_line']}: {part}_after is {row[part + '_after']}, the rows make "
                                 f"{opening[part] + sums[part]}")
                    break
            if len(found) > 5:
                break
        for part in PARTS:
            if part not in opening:
                continue
            gone = sum(row[part] for row in exits)
            if sums[part] - gone != closing[part] - opening[part]:
                found.append(f"{where}: {part}: opening {opening[part]} + rows {sums[part] - gone} is not closing "
                             f"{closing[part]}")
            if exits and sums[part] != -opening[part]:
                found.append(f"{where}: {part}: all rows with exit make {sums[part]}, opening was {opening[part]}")
        return found + _by_cause_problems(ledger, rows, where)


def unmapped_first(row):
    """Whether this is an mremap that failed late: older kernels (6.1, 6.12) unmap the place to move to before they look further."""
    return row["name"] == "mremap" and row["virt"] < 0 and row["args"] and row["args"]["flags"] & 2  # MREMAP_FIXED


def _row_problems(row, page):
    where, found = f"line {row['_line']}", []
    missing = [field for field in EVENT_FIELDS if field not in row]
    if missing:
        return [f"{where}: no {', '.join(missing)}"]
    if row["cause"] not in CAUSES:
        found.append(f"{where}: unknown cause {row['cause']!r}")
    if row["rss"] != row["anon"] + row["file"] + row["shmem"]:
        found.append(f"{where}: rss {row['rss']} is not anon {row['anon']} + file {row['file']} + shmem {row['shmem']}")
    if any(not isinstance(row[part], int) or row[part] % page for part in PARTS):
        found.append(f"{where}: not whole pages: {[row[part] for part in PARTS]}")
    if not isinstance(row["name"], str) or not row["name"] or row["name"] == "unattributed":
        found.append(f"{where}: name {row['name']!r}")
    if row["error"] is not None:
        if not row["error"].startswith("E") or row["ret"] != -1:
            found.append(f"{where}: error {row['error']!r} with ret {row['ret']!r}")
        if row["cause"] == "syscall" and row["virt"] and not unmapped_first(row):
            found.append(f"{where}: {row['name']} failed with {row['error']} and changed VIRT by {row['virt']}")
    if row["region"] is not None and row["region"]["kind"] not in REGIONS:
        found.append(f"{where}: region {row['region']}")
    if not isinstance(row["count"], int) or row["count"] < 1:
        found.append(f"{where}: count {row['count']!r}")
    return found


def _ledger_problems(ledger, coalesced):
    where = f"mm {ledger.get('mm')} (pid {ledger.get('pid')}, {ledger.get('image')})"
    missing = [field for field in LEDGER_FIELDS if field not in ledger]
    if missing:
        return [f"{where}: the ledger lacks {', '.join(missing)}"]
    found = []
    if ledger["balanced"] is not True:
        found.append(f"{where}: balanced is {ledger['balanced']!r}: {_short(ledger)}")
    if any(ledger["unattributed"].values()):
        found.append(f"{where}: unattributed {ledger['unattributed']}")
    if ledger["lost_events"]:
        found.append(f"{where}: lost {ledger['lost_events']}")
    if ledger["coalesced_events"] and not coalesced:
        found.append(f"{where}: coalesced {ledger['coalesced_events']}")
    if ledger["proc"] is not None:
        for part in PARTS:
            if ledger["proc"].get(part, ledger["closing"].get(part)) != ledger["closing"].get(part):
                found.append(f"{where}: {part}: closing {ledger['closing'][part]}, /proc {ledger['proc'][part]}")
    return found


def _by_cause_problems(ledger, rows, where):
    found, sums = [], {}
    for row in rows:
        if row["cause"] == "exit":
            continue
        line = sums.setdefault((row["cause"], row["name"]), [0, 0, 0])
        for i, part in enumerate(("count", "virt", "rss")):
            line[i] += row[part]
    said = {(line["cause"], line["name"]): [line["count"], line["virt"], line["rss"]] for line in ledger["by_cause"]}
    said = {key: line for key, line in said.items() if key[0] != "exit"}
    if len(said) != len([line for line in ledger["by_cause"] if line["cause"] != "exit"]):
        found.append(f"{where}: by_cause has a line twice")
    for key in sorted(set(sums) | set(said)):
        if sums.get(key) != said.get(key):
            found.append(f"{where}: by_cause {key}: rows make (count, virt, rss) {sums.get(key)}, the ledger says "
                         f"{said.get(key)}")
    return found


def _short(ledger):
    return {key: ledger.get(key) for key in ("opening", "closing", "proc", "unattributed")}


def points_of(text):
    """The readings that workload programs have printed, in order."""
    found = []
    for line in text.splitlines():
        if line.startswith('{"points":'):
            found += json.loads(line)["points"]
    return found


def compare_points(books, points):
    """Each reading against the level of the books at its mark; differences as lines. No mark may be missing. The marks of
    a process (or of a thread, where the reading names one) are in the order in which it has read."""
    found, at, marks = [], {}, {}
    for mark in books.marks:
        for who in ((mark["pid"], None), (mark["pid"], mark["tid"])):
            marks.setdefault(who, []).append(mark)
    for point in points:
        who = (point["pid"], point.get("tid"))
        mine, i = marks.get(who, []), at.get(who, 0)
        while i < len(mine) and mine[i]["name"] != point["name"]:
            i += 1
        if i == len(mine):
            found.append(f"pid {point['pid']}: no mark {point['name']!r}")
            continue
        at[who] = i + 1
        level = books.level(mine[i])
        # A kernel whose status lags behind tells files from shared memory in no other short file.
        wrong = {part: (level[part], point[part]) for part in level if point[part] not in (None, level[part])}
        if "virt" not in level or wrong:
            found.append(f"pid {point['pid']}: at {point['name']!r} (books, /proc): {wrong or 'no level'}")
    return found


def merge(rows):
    """Neighbours of one cause and name as one: (cause, name, count, {part: sum}), file faults by the way left out."""
    merged = []
    for row in rows:
        if row["cause"] == "fault" and not row["virt"] and not row["anon"] and not row["shmem"] and row["file"] >= 0:
            continue
        if merged and merged[-1][0] == row["cause"] and merged[-1][1] == row["name"]:
            merged[-1][2] += row["count"]
            for part in PARTS:
                merged[-1][3][part] += row[part]
        else:
            merged.append([row["cause"], row["name"], row["count"], {part: row[part] for part in PARTS}])
    return merged
