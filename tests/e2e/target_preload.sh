#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Programs that know nothing of it run on the preload library, with either allocator, and do what they do without it.
#
# usage: tests/e2e/target_preload.sh      LIBRARY is build/libheaptrace-alloc.so unless set; LOAD as in harness.py
set -u

cd "$(dirname "$0")/../.." || exit 1
library=$(realpath "${LIBRARY:-build/libheaptrace-alloc.so}")
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
. tests/e2e/tap.sh
export LC_ALL=C

# often COUNT: how often something is to be done that is done COUNT times where LOAD is 1.
often() {
    awk -v count="$1" -v load="${LOAD:-1}" 'BEGIN { print int(count * load) }'
}

# on ALLOCATOR COMMAND...: runs the command on the library; its output is in $tmp/out and $tmp/err. Programs end
# themselves if the library is not what they got: the loader only warns.
on() {
    allocator=$1
    shift
    HEAPTRACE_ALLOC=$allocator LD_PRELOAD=$library "$@" >"$tmp/out" 2>"$tmp/err" </dev/null && ! grep -q 'cannot be preloaded' "$tmp/err"
}

# same NAME COMMAND...: the output is that of the same command without the library.
same() {
    name=$1
    shift
    if ! command -v "$1" >/dev/null; then
        skip "$name" "$1 is not installed"
        return
    fi
    if ! "$@" >"$tmp/expected" 2>"$tmp/err" </dev/null; then
        cp "$tmp/expected" "$tmp/out"
        result 1 "without the library: $name"
        return
    fi
    for each in slab operator; do
        on $each "$@" && cmp -s "$tmp/expected" "$tmp/out"
        result $? "$each: $name"
    done
}

# build LANGUAGE FILE: compiles a program to $tmp/FILE.
build() {
    case $1 in
    c) ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O1 -g -fno-builtin -pthread -o "$tmp/$2" "$tmp/$2.c" ;;
    c++) ${CXX:-c++} -std=c++17 -O1 -g -fno-builtin -pthread -o "$tmp/$2" "$tmp/$2.cc" ;;
    esac >"$tmp/out" 2>"$tmp/err"
}

# A long walk of all the functions by chance, the same each time: the sum depends on what is read from the blocks.
cat >"$tmp/stress.c" <<'END'
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS 1500
#define CHECK(X) do { if (!(X)) { printf("line %d: %s\n", __LINE__, #X); exit(1); } } while (0)

struct walk { uint64_t state, sum; unsigned int steps; };

static uint64_t next(struct walk *w)
{
	w->state = w->state * 6364136223846793005u + 1442695040888963407u;
	return w->state >> 33;
}

static size_t size_by_chance(struct walk *w)
{
	static const size_t limits[] = { 32, 200, 1100, 5000, 80000, 400000 };
	return next(w) % limits[next(w) % 6];
}

static void *get(struct walk *w, size_t size)
{
	size_t align = (size_t)8 << next(w) % 12;
	void *p = NULL;

	switch (next(w) % 8) {
	case 0: p = calloc(1 + size / 8, 8); for (size_t i = 0; i < size; i++) CHECK(((char *)p)[i] == 0); break;
	case 1: CHECK(posix_memalign(&p, align, size) == 0 && (uintptr_t)p % align == 0); break;
	case 2: p = aligned_alloc(align, size); CHECK((uintptr_t)p % align == 0); break;
	case 3: p = memalign(align, size); CHECK((uintptr_t)p % align == 0); break;
	case 4: p = next(w) % 8 ? malloc(size) : valloc(size); break;
	case 5: p = reallocarray(NULL, size, 1); if (!p) p = malloc(size); break;
	default: p = malloc(size); break;
	}
	CHECK(p && (uintptr_t)p % 8 == 0 && malloc_usable_size(p) >= size);
	return p;
}

static void fill(unsigned char *p, size_t size, uint64_t tag) { for (size_t i = 0; i < size; i++) p[i] = (unsigned char)(tag + i * 7); }
static void check(struct walk *w, const unsigned char *p, size_t size, uint64_t tag)
{
	for (size_t i = 0; i < size; i++) CHECK(p[i] == (unsigned char)(tag + i * 7));
	w->sum = (w->sum ^ (size ? p[size / 2] : 255)) * 1099511628211u;
}

static void *run(void *arg)
{
	struct walk *w = arg;
	static __thread struct { unsigned char *p; size_t size; uint64_t tag; } slots[SLOTS];

	for (unsigned int i = 0; i < w->steps; i++) {
		unsigned int s = next(w) % SLOTS;
		size_t size = size_by_chance(w);

		if (!slots[s].p) {
			slots[s].p = get(w, size);
		} else {
			check(w, slots[s].p, slots[s].size, slots[s].tag);
			if (next(w) % 3 == 0) {
				unsigned char *p = realloc(slots[s].p, size + 1);
				size++;
				CHECK(p);
				check(w, p, size < slots[s].size ? size : slots[s].size, slots[s].tag);
				slots[s].p = p;
			} else {
				errno = 4711;
				free(slots[s].p);
				CHECK(errno == 4711);
				slots[s].p = NULL;
				continue;
			}
		}
		slots[s].size = size;
		slots[s].tag = next(w);
		fill(slots[s].p, size, slots[s].tag);
	}
	for (unsigned int s = 0; s < SLOTS; s++) {
		if (slots[s].p) check(w, slots[s].p, slots[s].size, slots[s].tag);
		free(slots[s].p);
		slots[s].p = NULL;
	}
	return NULL;
}

static void edges(void)
{
	void *p = (void *)1, *q, *volatile none = NULL;
	volatile size_t huge = SIZE_MAX;

	free(none);
	p = malloc(0); q = malloc(0); CHECK(p && q && p != q); free(p); free(q);
	errno = 0; CHECK(!malloc(huge) && errno == ENOMEM);
	errno = 0; CHECK(!calloc(huge / 2, 3) && errno == ENOMEM);
	errno = 0; CHECK(!reallocarray(none, huge / 2, 3) && errno == ENOMEM);
	p = malloc(100); errno = 0; CHECK(!realloc(p, huge) && errno == ENOMEM); free(p);
	p = realloc(none, 10); CHECK(p && !realloc(p, 0));
	CHECK(posix_memalign(&q, 3, 1) == EINVAL && posix_memalign(&q, 4, 1) == EINVAL);
	p = valloc(1); CHECK((uintptr_t)p % (size_t)getpagesize() == 0); free(p);
	p = pvalloc(1); CHECK(malloc_usable_size(p) >= (size_t)getpagesize()); free(p);
	CHECK(malloc_usable_size(none) == 0);
	(void)malloc_trim(0);
}

int main(int argc, char **argv)
{
	struct walk walks[4];
	pthread_t threads[4];
	unsigned int steps = argc > 1 ? (unsigned int)atoi(argv[1]) : 20000;

	edges();
	for (int i = 0; i < 4; i++) walks[i] = (struct walk){ .state = (uint64_t)i * 77 + 1, .steps = steps };
	run(&walks[0]); /* alone, without locks */
	for (int i = 1; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, run, &walks[i]) == 0);
	for (int i = 0; i < 20; i++) { /* children of a process whose threads are in the allocator */
		int status;
		pid_t child = fork();
		if (child == 0) { struct walk w = { .state = (uint64_t)i, .steps = 300 }; run(&w); _exit(0); }
		CHECK(waitpid(child, &status, 0) == child && status == 0);
	}
	for (int i = 1; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
	for (int i = 0; i < 4; i++) printf("%016llx\n", (unsigned long long)walks[i].sum);
	return 0;
}
END
build c stress
result $? "the stress test compiles"
same "contents are what glibc's would be: 4 threads, forks, every function" "$tmp/stress" "$(often 8000)"

# Where the blocks come from is asked of the kernel: the program must have got the library and not glibc's heap.
cat >"$tmp/where.c" <<'END'
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* In kB. The anonymous part is what an allocator adds; pages of code come when they are first run. */
static long level(const char *key)
{
	static char text[8192];
	int fd = open("/proc/self/smaps_rollup", O_RDONLY); /* exact on every kernel */
	ssize_t len = read(fd, text, sizeof(text) - 1);
	if (len < 0) exit(3);
	close(fd);
	text[len] = 0;
	return atol(strstr(text, key) + strlen(key));
}
static void turn(void **blocks, unsigned int count, unsigned int max)
{
	unsigned int state = 1;
	for (unsigned int i = 0; i < count; i++) {
		size_t size = 1 + (state = state * 1103515245 + 12345) / 65536 % max;
		memset(blocks[i] = malloc(size), 1, size);
	}
	for (unsigned int i = 0; i < count; i++) { /* in an order by chance */
		unsigned int j = (state = state * 1103515245 + 12345) / 65536 % count;
		void *other = blocks[i]; blocks[i] = blocks[j]; blocks[j] = other;
	}
}
int main(void)
{
	enum { COUNT = 40000 };
	static const unsigned int max[] = { 100, 1000, 5000, 60000, 500000 }, counts[] = { COUNT, COUNT, 2000, 200, 100 };
	static void *blocks[COUNT];
	char *start = sbrk(0);
	int bad = 0;

	memset(blocks, 1, sizeof(blocks));
	level("Anonymous:");
	for (int i = 0; i < 5; i++) {
		long rss = level("Rss:"), before = level("Anonymous:"), during, after;

		turn(blocks, counts[i], max[i]);
		during = level("Anonymous:");
		for (unsigned int j = 0; j < counts[i]; j++) free(blocks[j]);
		after = level("Anonymous:");
		printf("up to %u bytes: RSS %ld, anonymous %ld %ld %ld\n", max[i], rss, before, during, after);
		bad |= during - before < 1500 || (after - before) * 100 > rss; /* 1 % of what the process had */
	}
	return sbrk(0) != start ? 1 : bad ? 2 : 0; /* brk was not used */
}
END
build c where
for each in slab operator; do
    on $each "$tmp/where"
    result $? "$each: the blocks are its own, and RSS after freeing all is within 1 % of what it was"
done
HEAPTRACE_SLAB_KEEP=0 on slab "$tmp/where"
result $? "slab: the same with nothing kept"

cat >"$tmp/news.cc" <<'END'
#include <cstdio>
#include <cstdlib>
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#define CHECK(X) do { if (!(X)) { std::printf("line %d: %s\n", __LINE__, #X); std::exit(1); } } while (0)
static int called;
static volatile size_t huge = SIZE_MAX / 4;
static void third() { if (++called == 3) std::set_new_handler(nullptr); }
static void throws() { called++; throw std::bad_alloc(); }
struct alignas(256) Wide { char c[300]; };
struct Bad { Bad() { throw std::runtime_error("x"); } char c[5000]; };
int main()
{
	std::map<std::string, std::vector<std::string>> m;
	for (int i = 0; i < 20000; i++) m[std::to_string(i % 997)].push_back(std::string(i % 300, 'x'));
	size_t sum = 0;
	for (auto &e : m) for (auto &s : e.second) sum += s.size();
	CHECK(m.size() == 997 && sum > 1000000);
	std::printf("%zu %zu\n", m.size(), sum);
	try { delete[] new char[huge]; CHECK(false); } catch (const std::bad_alloc &) { called = 100; }
	CHECK(called == 100);
	called = 0;
	std::set_new_handler(third);
	try { ::operator delete(::operator new(huge)); CHECK(false); } catch (const std::bad_alloc &) {}
	CHECK(called == 3);
	called = 0;
	std::set_new_handler(third);
	CHECK(::operator new(huge, std::nothrow) == nullptr && called == 3);
	std::set_new_handler(throws);
	called = 0;
	CHECK(new (std::nothrow) char[huge] == nullptr && called == 1);
	CHECK(::operator new(huge, std::align_val_t(64), std::nothrow) == nullptr && called == 2);
	CHECK(::operator new[](huge, std::align_val_t(64), std::nothrow) == nullptr && called == 3);
	std::set_new_handler(nullptr);
	CHECK(new (std::nothrow) char[huge] == nullptr);
	std::unique_ptr<Wide> w(new Wide);
	std::unique_ptr<Wide[]> ws(new Wide[3]);
	CHECK(reinterpret_cast<uintptr_t>(w.get()) % 256 == 0 && reinterpret_cast<uintptr_t>(ws.get()) % 256 == 0);
	for (size_t a = 32; a <= 65536; a *= 2) {
		void *p = ::operator new(10, std::align_val_t(a)), *q = ::operator new[](10, std::align_val_t(a), std::nothrow);
		CHECK(reinterpret_cast<uintptr_t>(p) % a == 0 && reinterpret_cast<uintptr_t>(q) % a == 0);
		::operator delete(p, 10, std::align_val_t(a));
		::operator delete[](q, std::align_val_t(a), std::nothrow);
	}
	try { delete new Bad; CHECK(false); } catch (const std::runtime_error &) {}
	void *a = ::operator new(0), *b = ::operator new[](0);
	CHECK(a && b && a != b);
	::operator delete(a, size_t(0)); ::operator delete[](b, std::nothrow);
	std::vector<std::thread> threads;
	for (int t = 0; t < 4; t++) threads.emplace_back([] { for (int i = 0; i < 20000; i++) { auto *s = new std::string(i % 200, 'y'); delete s; } });
	for (auto &t : threads) t.join();
	std::puts("done");
}
END
if command -v "${CXX:-c++}" >/dev/null; then
    build c++ news
    result $? "the C++ program compiles"
    same "C++: containers, threads, handlers, bad_alloc, nothrow, alignment" "$tmp/news"
else
    skip "C++" "no C++ compiler is installed"
fi

cat >"$tmp/check.py" <<'END'
import hashlib, json, re, sqlite3, subprocess, sys, threading, zlib
words = [("%d" % (i * i)) * (i % 50) for i in range(int(sys.argv[1]))]
print(hashlib.sha256("".join(words).encode()).hexdigest())
data = json.dumps({w: [len(w), w[:5]] for w in words[:5000]}, sort_keys=True)
print(zlib.crc32(data.encode()), len(json.loads(data)), len(re.findall(r"4+2", data)))
db = sqlite3.connect(":memory:")
db.execute("create table t (a integer primary key, b text)")
db.executemany("insert into t (b) values (?)", ((w,) for w in words))
print(db.execute("select count(*), sum(length(b)), max(b) from t where b like '%7%'").fetchone())
print(db.execute("pragma integrity_check").fetchone())
out = []
threads = [threading.Thread(target=lambda n=n: out.append(len(bytearray(300000 * n)))) for n in range(8)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(out), subprocess.run(["echo", "child"], capture_output=True).stdout)
END
same "python3: strings, json, zlib, sqlite in memory, threads, a child" python3 -B "$tmp/check.py" "$(often 30000)"

# CPython's own tests. On slab each of its objects is a block. On operator only what is larger than 512 bytes is, as it has
# by default: 10 us a block are 22 s for the 2.2 million of test_list (docs/PERFORMANCE.md).
python=''
for each in /usr/bin/python3 python3; do
    "$each" -c 'import test.test_dict' 2>/dev/null && python=$each
done
if [ -n "$python" ]; then
    for each in slab:malloc operator:default; do
        PYTHONMALLOC=${each#*:} on "${each%:*}" "$python" -B -m test -q --tempdir "$tmp" test_list test_dict test_zlib
        result $? "${each%:*}: CPython's own tests of lists, dictionaries and zlib pass"
    done
else
    skip "CPython's own tests" "python3 was installed without them"
fi

cat >"$tmp/check.sql" <<END
create table t(a, b);
with recursive c(x) as (select 1 union all select x + 1 from c where x < $(often 30000)) insert into t select x, hex(x * x) from c;
create index i on t(b);
select count(*), sum(a), max(b) from t;
begin; delete from t where a % 3 = 0; update t set b = b || a where a % 5 = 0; rollback;
delete from t where a % 7 = 0;
vacuum;
select count(*), sum(a), max(b), group_concat(b) like '%36%' from t;
pragma integrity_check;
END
cat >"$tmp/sql.sh" <<'END'
rm -f "$1/check.db"
sqlite3 "$1/check.db" <"$1/check.sql" && sqlite3 "$1/check.db" 'select count(*) from t; pragma integrity_check'
END
same "sqlite3: a file, an index, transactions, vacuum, its integrity check" sh "$tmp/sql.sh" "$tmp"

# shellcheck disable=SC2016 # perl's variables
same "perl: a hash, a sort, patterns, a child" perl -e \
    '$n = shift; $h{$_} = $_ x 5 for 1 .. $n; print join(",", (sort keys %h)[0 .. 5]), scalar(grep { /77/ } values %h), "\n";
    $s = join "", map { chr(97 + $_ % 26) x 9 } 1 .. $n; $n = () = $s =~ /(.)\1{8}/g; print "$n ", `echo child`' "$(often 30000)"

# shellcheck disable=SC2016 # for the inner shell
same "bash: arrays, substitutions, pipes" bash -c \
    'for i in {1..5000}; do a[i]=$((i * i)); done; s=${a[*]}; echo ${#s} "${s//1/x}" | cksum; ls / | sort | wc -l'

# The same history each time: the name of its last commit says so.
cat >"$tmp/history.sh" <<'END'
set -e
export GIT_AUTHOR_DATE='2000-01-01T00:00Z' GIT_COMMITTER_DATE='2000-01-01T00:00Z' GIT_CONFIG_NOSYSTEM=1 HOME=$1
export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x@y GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x@y
rm -rf "$1/repo" && mkdir "$1/repo" && cp target/*.c "$1/repo" && cd "$1/repo"
git -c init.defaultBranch=one init -q && git add . && git commit -qm first
git checkout -qb two && sed -i 's/static/extern/' ./*.c && git commit -qam second
git checkout -q one && git rm -q slab.c && git commit -qm third && git merge -q -s ours -m fourth two
git gc -q --aggressive --prune=now
git fsck --full --strict && git rev-parse HEAD 'HEAD^{tree}' && git log -p --stat | cksum && git count-objects -v | grep -v size
END
same "git: init, commits, a merge, gc, fsck, log" sh "$tmp/history.sh" "$tmp"

cat >"$tmp/built.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void)
{
	char *text = NULL;
	size_t len = 0;
	for (int i = 0; i < 20000; i++) {
		char word[16];
		int n = snprintf(word, sizeof(word), "%d,", i * i);
		text = realloc(text, len + (size_t)n + 1);
		memcpy(text + len, word, (size_t)n + 1);
		len += (size_t)n;
	}
	printf("%zu %.20s\n", len, text + len / 2);
	free(text);
	return 0;
}
END
cat >"$tmp/compile.sh" <<'END'
set -e
${CC:-cc} -O2 -c -o "$1/built.o" "$1/built.c"
cksum <"$1/built.o"
${CC:-cc} -o "$1/built" "$1/built.o"
"$1/built"
END
same "the C compiler: a program byte for byte, linked and run" sh "$tmp/compile.sh" "$tmp"

HEAPTRACE_ALLOC=nosuch LD_PRELOAD=$library /bin/true >"$tmp/out" 2>"$tmp/err"
[ $? -eq 2 ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && grep -q 'HEAPTRACE_ALLOC=nosuch' "$tmp/err"
result $? "an unknown allocator is refused"

HEAPTRACE_SLAB_KEEP=4x LD_PRELOAD=$library /bin/true >"$tmp/out" 2>"$tmp/err"
[ $? -eq 2 ] && grep -q 'HEAPTRACE_SLAB_KEEP=4x' "$tmp/err"
result $? "a limit that is no number is refused"

cat >"$tmp/twice.c" <<'END'
#include <stdlib.h>
int main(void) { void *volatile p = malloc(100); free(p); free(p); return 0; }
END
build c twice
for each in slab operator; do
    HEAPTRACE_ALLOC=$each LD_PRELOAD=$library sh -c 'ulimit -c 0; exec "$@"' sh "$tmp/twice" >"$tmp/out" 2>"$tmp/err"
    [ $? -eq 134 ] && grep -q 'is no living block' "$tmp/err"
    result $? "$each: a second free is found out"
done

nm -D --defined-only "$library" | awk '{ print $3 }' | grep -vE '^(_Zn[wa]m|_Zd[la]Pv|(m|c|re|v|pv)alloc$|reallocarray$|aligned_alloc$|memalign$|posix_memalign$|free(_sized|_aligned_sized)?$|malloc_(usable_size|trim)$)' >"$tmp/out"
[ ! -s "$tmp/out" ]
result $? "it exports allocation functions and nothing else"

echo "1..$number"
