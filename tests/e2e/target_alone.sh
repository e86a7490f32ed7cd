#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The target without an observer: its command line, its readings, and what it may not do to the heap it measures.
#
# usage: tests/e2e/target_alone.sh      TARGET is build/target unless set; CC compiles it alone
set -u

cd "$(dirname "$0")/../.." || exit 1
target=$(realpath "${TARGET:-build/target}")
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
. tests/e2e/tap.sh

# try ARGUMENT...: runs the target; sets status; its output is in $tmp/out and $tmp/err.
try() {
    "$target" "$@" >"$tmp/out" 2>"$tmp/err"
    status=$?
}

# refused ARGUMENT...: wrong usage is status 2, one line, and nothing on standard output.
refused() {
    try "$@"
    [ "$status" -eq 2 ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && [ ! -s "$tmp/out" ]
    result $? "refused: $*"
}

# python NAME: a program on standard input checks by assert the JSON in $tmp/out: d, and blocks, the readings of each
# block in the order of the run.
python() {
    cat "$tmp/levels.py" - >"$tmp/check.py"
    python3 -B "$tmp/check.py" "$tmp/out" 2>>"$tmp/err"
    result $? "$1"
}

cat >"$tmp/levels.py" <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
P = d.get("page_size")
blocks = []
for mark in d.get("marks", []):
    if mark.get("step") == "before":
        blocks.append({"size": mark["size"]})
    if mark.get("size") is not None:
        blocks[-1][mark["step"]] = mark
def change(block, first, last, part):
    """0 of what is not known: where status lags, smaps_rollup is read, which has files and shared memory in rss alone."""
    return (block[last][part] or 0) - (block[first][part] or 0)
def whole(block):
    return max(1, -(-block["size"] // P)) * P
END

refused --nosuch
refused --sizes
refused --sizes 2x
refused --sizes ''
refused --alloc nosuch
refused --order upwards
refused --touch 1.5
refused --threads 0
refused --rounds -1
refused --mallopt top_pad
refused nosuch
refused cutoff nosuch
refused play
refused play nosuch
refused play "free a"

try --list
[ "$status" -eq 0 ] && grep -q '^malloc ' "$tmp/out" && grep -q '^mmap ' "$tmp/out" && grep -q '^operator ' "$tmp/out" &&
    grep -q '^slab ' "$tmp/out"
result $? "--list names the allocators"

try --help
[ "$status" -eq 0 ] && grep -q -e '--mallopt' "$tmp/out" && [ ! -s "$tmp/err" ]
result $? "--help"

try --sizes 2k,200k --order given
[ "$status" -eq 0 ] && [ "$(grep -c '^allocation ' "$tmp/out")" -eq 2 ] && grep -q '^2 KiB = 1024 elements' "$tmp/out"
result $? "one table a block"

for seed in 1 2; do
    "$target" --sizes 1k,2k,3k,4k,5k,6k,7k,8k,9k --seed $seed 2>"$tmp/err" | grep elements >"$tmp/order.$seed"
done
"$target" --sizes 1k,2k,3k,4k,5k,6k,7k,8k,9k --seed 1 2>"$tmp/err" | grep elements >"$tmp/out"
cmp -s "$tmp/order.1" "$tmp/out" && ! cmp -s "$tmp/order.1" "$tmp/order.2" && [ "$(wc -l <"$tmp/out")" -eq 9 ]
result $? "a seed is an order"

"$target" --sizes 2k >/dev/full 2>"$tmp/err"
[ $? -eq 1 ] && grep -q 'No space left' "$tmp/err"
result $? "a full disk is an error"

"$target" --sizes 2k >&- 2>"$tmp/err"
[ $? -eq 1 ] && grep -q 'Bad file descriptor' "$tmp/err"
result $? "closed output is an error"

prlimit --as=1000000000 "$target" --sizes 2G,20k --order given >"$tmp/out" 2>"$tmp/err"
[ $? -eq 1 ] && grep -q '^cannot be had: ' "$tmp/out" && [ "$(grep -c '^allocation ' "$tmp/out")" -eq 1 ]
result $? "what cannot be had is said, the rest goes on, status 1"

export HEAPTRACE_SLAB_KEEP=0 # of no concern to the others
for alloc in mmap operator slab; do
    try --json --alloc $alloc --sizes 0,1,2k,20k,200k,2M,20M --rounds 2 --seed 5
    python "$alloc: each block comes and goes to the byte" <<'END'
assert len(blocks) == 14
for b in blocks:
    shared = d["alloc"] == "slab" and b["size"] <= 65536 # in a region of 1 MiB that has its records beside the blocks
    touched = 0 if b["size"] == 0 else whole(b)
    assert change(b, "before", "alloc", "virt") == (1 << 20 if shared else whole(b)), b
    assert change(b, "alloc", "touch", "virt") == 0, b
    assert change(b, "before", "touch", "rss") == touched + (P if shared else 0), b
    for part in ("virt", "rss", "anon", "file", "shmem", "swap"):
        assert change(b, "before", "free", part) == 0, b
END
done

for alloc in mmap operator; do
    try play --json --alloc $alloc 'alloc a 20 1M' 'free a but 4' thread 'free a'
    python "$alloc: a script of steps, to the byte" <<'END'
marks = {m["name"]: m for m in d["marks"]}
assert [m["name"] for m in d["marks"]] == ["opening", "alloc a 20 1M", "free a but 4", "thread", "free a"] and d["failed"] == 0
anon = [marks[name]["anon"] - marks["opening"]["anon"] for name in ("alloc a 20 1M", "free a but 4")]
assert anon == [20 << 20, 5 << 20], anon
assert marks["free a"]["anon"] == marks["thread"]["anon"] - (5 << 20) and marks["free a"]["tid"] != marks["opening"]["tid"]
END
done

try play 'alloc a 10 1k' 'await 1M 0'
[ "$status" -eq 1 ] && grep -q '^alloc a 10 1k  *[0-9]* kB' "$tmp/out" && grep -q 'failed: Connection timed out' "$tmp/out"
result $? "a step that fails is told, status 1"

unset HEAPTRACE_SLAB_KEEP
try --json --alloc slab --sizes 2k --rounds 2
python "slab: an empty page is kept for the next block" <<'END'
assert [change(b, "before", "free", "virt") for b in blocks] == [1 << 20, 0]
assert [change(b, "touch", "free", "rss") for b in blocks] == [0, 0] and change(blocks[1], "before", "touch", "rss") == 0
END

for threads in 1 8; do
    try --json --alloc slab --sizes 16,200,2k,3k,20k,60k,200k,2M --rounds 3 --threads $threads --seed 4
    python "slab: RSS after all is freed is within 1 % of before: threads: $threads" <<'END'
before, after = (d["marks"][i]["rss"] for i in (0, -1))
assert d["marks"][-1]["name"] == "closing" and 0 <= after - before <= before / 100, (before, after)
END
done

try --json --sizes 2k,200k,2M,20M --seed 3 --threads 3 --rounds 2
python "threads are in step: all read the same at each step" <<'END'
steps = {}
for m in d["marks"][1:-1]:
    steps.setdefault((m["round"], m["size"], m["step"]), []).append([m[p] for p in ("virt", "rss", "anon", "file")])
assert len(steps) == 2 * 4 * 4
assert all(len(s) == 3 and s[0] == s[1] == s[2] for s in steps.values()), steps
assert len({m["name"] for m in d["marks"]}) == len(d["marks"])
END

# huge_heap ARGUMENT...: the setting is heeded whatever lies on the stack (tune_begin).
huge_heap() {
    export GLIBC_TUNABLES=glibc.malloc.hugetlb=1
    try --json "$@"
    unset GLIBC_TUNABLES
    python "glibc, hugetlb=1: the heap grows by a huge page: $*" <<'END'
assert d["marks"][-1]["virt"] - d["marks"][0]["virt"] >= 2 << 20
END
}

if "$target" cutoff --max 1 2>/dev/null | grep -q glibc && [ -z "${GLIBC_TUNABLES:-}" ]; then
    try --json --order descending --sizes 2M,20M
    python "glibc, descending: 20 MiB is given back, 2 MiB is kept" <<'END'
assert [b["size"] for b in blocks] == [20 << 20, 2 << 20]
assert change(blocks[0], "touch", "free", "rss") <= -(20 << 20)
assert all(change(blocks[1], "touch", "free", part) == 0 for part in ("virt", "rss"))
END
    try --json --order ascending --sizes 2M,20M
    python "glibc, ascending: both are given back" <<'END'
assert all(change(b, "touch", "free", "rss") <= -b["size"] for b in blocks) and len(blocks) == 2
END
    try --json --order descending --sizes 2M,20M --mallopt mmap_threshold=128k --mallopt trim_threshold=128k
    python "glibc, thresholds pinned: both are given back" <<'END'
assert all(change(b, "touch", "free", "rss") <= -b["size"] for b in blocks) and len(blocks) == 2
assert [t["ret"] for t in d["mallopt"]] == [1, 1]
END
    try --json --trim --order descending --sizes 20M,2M
    python "glibc: malloc_trim gives back what free has kept" <<'END'
assert change(blocks[1], "touch", "free", "rss") == 0
assert change(blocks[1], "free", "trim", "rss") <= -(2 << 20) + P
END
    try cutoff --json
    python "glibc: the cut-off is exact, and a large free moves it to its own chunk" <<'END'
word, page = 8, 4096
chunk = lambda n: (n + word + 2 * word - 1) & -(2 * word)
for s in (d["fresh"], d["after"]):
    assert s["given_back"]["size"] == s["cutoff"] == s["kept"]["size"] + 1
    assert s["kept"]["in_heap"] and not s["given_back"]["in_heap"]
    assert s["kept"]["rss"][2] == s["kept"]["rss"][1] and s["given_back"]["rss"][2] < s["given_back"]["rss"][1]
assert 128 * 1024 <= chunk(d["fresh"]["cutoff"]) <= 132 * 1024
large = (chunk(d["after"]["large"]) + word + page - 1) & -page
assert chunk(d["after"]["cutoff"]) == large > chunk(d["after"]["cutoff"] - 1)
END
    try cutoff --json --mallopt top_pad=128k
    python "glibc: a threshold that is set freezes all: the large free moves nothing" <<'END'
assert d["fresh"]["cutoff"] == d["after"]["cutoff"]
END
    try cutoff
    grep -q 'raised mmap_threshold to that' "$tmp/out" && [ "$status" -eq 0 ]
    result $? "glibc: the rule is told"
    if grep -q '\[madvise\]' /sys/kernel/mm/transparent_hugepage/enabled; then
        huge_heap play 'alloc a 1 20M' 'free a'
        huge_heap --sizes 1k
    fi
else
    skip "glibc's thresholds" "the C library is not glibc, or is tuned"
fi

for alloc in mmap operator; do
    try cutoff --json --alloc $alloc --large 1M --max 1M
    python "$alloc: every size is given back" <<'END'
assert d["fresh"]["cutoff"] == d["after"]["cutoff"] == 1
END
done

# Between the first mark and the last one: a reading is followed by its mark and nothing else, and the only calls that
# change memory are the allocator's own.
if command -v strace >/dev/null; then
    strace -o "$tmp/trace" "$target" --json --order ascending --sizes 2k,200k,2M >"$tmp/out" 2>"$tmp/err"
    awk '
        /heaptrace:opening/ { inside = 1 }
        /pread64\(/ { reading = NR; next }
        /heaptrace:/ { if (reading != NR - 1) bad = bad " mark without reading at " NR; marks++; next }
        inside && reading == NR - 1 { bad = bad " call after reading at " NR }
        inside && /^(mmap|munmap|mremap|brk|madvise|mprotect)\(/ { calls = calls $1 substr($0, 1, 5) " " }
        /^brk\(/ { if (!inside && !/brk\(NULL\)/) bad = bad " heap used before the first mark" }
        /heaptrace:closing/ { inside = 0 }
        END {
            n = split(calls, list, " ")
            if (marks != 14) bad = bad " marks: " marks
            if (n < 4) bad = bad " too few memory calls: " calls
            print bad, calls
            exit bad != ""
        }' "$tmp/trace" >"$tmp/out"
    result $? "the first use of the heap is the experiment's own; a mark follows its reading"
    strace -o "$tmp/trace" "$target" --alloc mmap --order given --sizes 3M,5M >"$tmp/out" 2>"$tmp/err"
    sed -n '/heaptrace:opening/,/heaptrace:closing/p' "$tmp/trace" |
        grep -oE '^(mmap\(NULL|munmap\(0x[0-9a-f]+|brk\(|madvise\(|mprotect\(|mremap\(), [0-9]+' |
        sed 's/(.*,//' >"$tmp/out"
    printf 'mmap 3145728\nmunmap 3145728\nmmap 5242880\nmunmap 5242880\n' | cmp -s - "$tmp/out"
    result $? "nothing but the blocks is mapped and unmapped"
else
    skip "calls between the marks" "strace is not installed"
fi

# It compiles alone, and its blocks survive the optimiser.
for flags in '-O3 -flto' '-O2 -static' 'musl'; do
    name=$flags
    cc=${CC:-cc}
    if [ "$flags" = musl ]; then
        cc=musl-gcc
        flags='-O2 -static'
    fi
    if ! command -v "$cc" >/dev/null; then
        skip "compiles alone: $name" "$cc is not installed"
        continue
    fi
    # shellcheck disable=SC2046,SC2086 # lists
    if $cc -std=gnu11 -D_GNU_SOURCE $flags -o "$tmp/alone" $(find target -maxdepth 1 -name '*.c' ! -name 'preload*') \
        -pthread >"$tmp/out" 2>"$tmp/err"; then
        "$tmp/alone" --json --order ascending --sizes 2M,20M >"$tmp/out" 2>"$tmp/err"
        python "compiles alone: $name" <<'END'
assert all(change(b, "before", "touch", "rss") >= b["size"] and change(b, "touch", "free", "rss") <= -b["size"] for b in blocks)
END
    else
        result 1 "compiles alone: $name"
    fi
done

echo "1..$number"
