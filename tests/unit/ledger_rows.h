/* SPDX-License-Identifier: GPL-2.0-only */
/* Events as a source would make them, for the tests of the books. */
#ifndef HEAPTRACE_LEDGER_ROWS_H
#define HEAPTRACE_LEDGER_ROWS_H

#include "model/ledger.h"
#include "model/ledger_lines.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The parts of a usage, to run a test over each. */
static const size_t parts[] = {
	offsetof(struct usage, virt),  offsetof(struct usage, anon), offsetof(struct usage, file),
	offsetof(struct usage, shmem), offsetof(struct usage, swap),
};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

static inline int64_t *part_of(struct usage *usage, unsigned int part)
{
	return (int64_t *)((char *)usage + parts[part]);
}

static const struct usage opening = { .virt = 1000, .anon = 100, .file = 200, .shmem = 30, .swap = 4 };

static inline struct event open_event(uint64_t mm)
{
	return (struct event){ .kind = EVENT_MM_OPEN,
			       .ts_ns = 10,
			       .pid = 42,
			       .tid = 42,
			       .mm = mm,
			       .comm = "prog",
			       .open = { .how = OPEN_EXEC, .opening = opening, .image = "/bin/prog" } };
}

static inline struct event row_event(enum cause cause, const char *name, struct usage delta)
{
	return (struct event){ .kind = EVENT_CHANGE,
			       .ts_ns = 20,
			       .pid = 42,
			       .tid = 42,
			       .mm = 1,
			       .change = { .cause = cause,
					   .name = name,
					   .count = 1,
					   .has_ret = cause == CAUSE_SYSCALL,
					   .delta = delta,
					   .attributed = true } };
}

static inline struct event mark_event(uint64_t ts_ns, const char *name)
{
	return (struct event){ .kind = EVENT_MARK, .ts_ns = ts_ns, .mm = 1, .mark = { .name = name } };
}

static inline struct event close_event(struct usage closing)
{
	return (struct event){
		.kind = EVENT_MM_CLOSE, .ts_ns = 90, .mm = 1, .close = { .closing = closing, .closing_known = true }
	};
}

static inline struct usage minus(struct usage usage)
{
	return (struct usage){ .virt = -usage.virt,
			       .anon = -usage.anon,
			       .file = -usage.file,
			       .shmem = -usage.shmem,
			       .swap = -usage.swap };
}

static inline void add(struct ledger *ledger, enum cause cause, const char *name, struct usage delta)
{
	struct event event = row_event(cause, name, delta);

	assert_int_equal(ledger_add(ledger, &event), 0);
}

static inline void mark(struct ledger *ledger, uint64_t ts_ns, const char *name)
{
	struct event event = mark_event(ts_ns, name);

	assert_int_equal(ledger_mark(ledger, &event), 0);
}

static inline struct ledger_view closed(struct ledger *ledger, struct usage closing)
{
	struct event event = close_event(closing);
	struct ledger_view view;

	ledger_close(ledger, &event, 0, &view);
	return view;
}

static inline void assert_usage_at(const struct usage *usage, struct usage want, const char *file, int line)
{
	struct usage have = *usage;

	for (unsigned int i = 0; i < PARTS; i++)
		_assert_int_equal((uintmax_t)*part_of(&have, i), (uintmax_t)*part_of(&want, i), file, line);
}

#define assert_usage(have_, ...) assert_usage_at(have_, (struct usage){ __VA_ARGS__ }, __FILE__, __LINE__)

static inline int setup(void **state)
{
	struct event open = open_event(1);

	*state = ledger_new(&open, NULL);
	return *state ? 0 : -1;
}

static inline int teardown(void **state)
{
	ledger_free(*state);
	return 0;
}

#endif
