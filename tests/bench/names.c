/* SPDX-License-Identifier: GPL-2.0-only */
/* How long the naming of call chains takes: 1,000,000 rows with 10,000 distinct chains of 14 frames, over 4,000 addresses of
 * this program and of the libraries that it is linked with.
 *
 * usage: names [ROWS [CHAINS]]      prints one line for rows with the source's id of their chain, and one for rows without */
#include "tests/unit/names_live.h"

#include <inttypes.h>
#include <time.h>

#define DEPTH	  14
#define ADDRESSES 4000

struct code {
	uint64_t addresses[ADDRESSES];
	unsigned int count;
};

static uint64_t random_state = 1;

static uint64_t random_below(uint64_t end)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (random_state >> 20) % end;
}

/* Some addresses of each mapping of code. */
static int take_addresses(void *ctx, const struct procfs_map *map)
{
	struct code *code = ctx;

	if (!(map->prot & PROT_EXEC) || !map->path_len || map->path[0] != '/')
		return 0;
	for (unsigned int i = 0; i < ADDRESSES / 4 && code->count < ADDRESSES; i++)
		code->addresses[code->count++] = map->start + random_below(map->end - map->start);
	return 0;
}

static double now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int count_named(void *ctx, const struct record *record)
{
	struct names_live *live = ctx;
	struct event named;

	if (record->kind != RECORD_EVENT || record->event->kind != EVENT_CHANGE)
		return 0;
	if (model_name(live->model, record->event, &named))
		return -1;
	for (unsigned int i = 0; i < named.change.stack_len; i++)
		live->stack_id += named.change.stack[i].symbol != NULL;
	return 0;
}

static int measure(unsigned long rows, unsigned long chains, bool ids)
{
	struct frame *stacks = calloc(chains * DEPTH, sizeof(*stacks));
	struct names_live live = { .fn = count_named };
	struct code code = { .count = 0 };
	struct event event = { .kind = EVENT_CHANGE, .pid = getpid(), .tid = getpid(), .mm = 1 };
	double start, end, cpu;

	if (!stacks || procfs_maps(getpid(), take_addresses, &code) || !code.count || names_live_open(&live, getpid()))
		return 1;
	for (unsigned long i = 0; i < chains * DEPTH; i++)
		stacks[i].addr = code.addresses[random_below(code.count)];
	event.change = (struct event_change){
		.cause = CAUSE_FAULT, .name = "minor", .count = 1, .attributed = true, .stack_len = DEPTH
	};
	start = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	for (unsigned long i = 0; i < rows; i++) {
		unsigned long chain = i < chains ? i : random_below(chains);

		event.change.stack = stacks + chain * DEPTH;
		event.change.stack_id = ids ? chain + 1 : 0;
		if (model_feed(live.model, &event))
			return 1;
	}
	end = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%lu rows, %lu call chains of %d frames, %s: %.2f s, %.2f s of the CPU, %.0f%% of the frames have a symbol\n",
	       rows, chains, DEPTH, ids ? "with ids" : "without ids", end - start, cpu,
	       100.0 * (double)live.stack_id / (double)(rows * DEPTH));
	names_live_close(&live);
	free(stacks);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long rows = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000,
		      chains = argc > 2 ? strtoul(argv[2], NULL, 10) : 10000;

	if (!rows || !chains || chains > rows)
		return 2;
	return measure(rows, chains, true) || measure(rows, chains, false);
}
