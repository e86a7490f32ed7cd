/* SPDX-License-Identifier: GPL-2.0-only */
/* source: where events come from. One struct per source; the list is SOURCES, which also feeds --help. */
#ifndef HEAPTRACE_SOURCE_H
#define HEAPTRACE_SOURCE_H

#include "base/diag.h"
#include "event/event.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How call chains are taken. */
enum source_stacks {
	SOURCE_STACKS_NONE,
	SOURCE_STACKS_FP,    /* along frame pointers */
	SOURCE_STACKS_DWARF, /* by call frame information */
	SOURCE_STACKS_AUTO,  /* as the source does best; none where it cannot take any */
};

/* What to watch and how. The strings and arrays belong to the caller and outlive the source. */
struct source_config {
	const pid_t *pids; /* to attach to: any thread's id stands for its whole process */
	unsigned int pid_count;
	pid_t child;	 /* > 0: a child of ours, held before its exec; its books open at that exec */
	bool follow;	 /* watch children too */
	bool no_seccomp; /* put no filter on @child */
	/* Rows, and nothing else, may have the time to the scheduler's tick: nobody will see it. */
	bool rough_times;
	enum source_stacks stacks;
	const char *program; /* what @child will exec, as execvp(3) takes it; NULL: not known */
	uint64_t ring_bytes; /* of the event buffer; 0 = default */
	const char *file;    /* replay: the recording */
};

struct source;

struct source_ops {
	const char *name;
	const char *help;
	unsigned int caps; /* enum cap, at best; source_caps() says what one opened source has */
	bool selectable;   /* --source may name it */
	/* Whether this machine and these rights allow it: 0, or -errno with the reason and the mend in @diag. Cheap. */
	int (*probe)(struct diag *diag);
	/* Starts watching. On return everything in @config is armed: nothing that happens later is missed. Attach may
	 * already deliver events through poll. -errno with @diag on failure, *ret_source untouched then. */
	int (*open)(const struct source_config *config, struct source **ret_source, struct diag *diag);
	/* Delivers what has happened, waiting at most @timeout_ms for something. Returns 1 if anything was delivered, 0
	 * if not, -ENODATA once nothing watched is left and all is delivered, or another -errno. */
	int (*poll)(struct source *source, int timeout_ms, event_fn fn, void *ctx);
	/* Lets go of all that is still watched: the last events, then an EVENT_MM_CLOSE for each mm. The targets run on
	 * as if never watched. Only close may follow. */
	int (*detach)(struct source *source, event_fn fn, void *ctx);
	unsigned int (*caps_now)(const struct source *source);
	/* What the user is to know of, as soon as there is something: a sentence, static. NULL: nothing, or never. */
	const char *(*remark)(const struct source *source);
	/* The source itself waits for the child and reports its end (ptrace); otherwise the session does. */
	bool reaps_child;
	void (*close)(struct source *source);
};

/* Every source's struct begins with this. */
struct source {
	const struct source_ops *ops;
	/* Runs in the forked child right before exec, async-signal-safe: 0 or -errno. NULL: nothing to do. */
	int (*in_child)(void);
};

extern const struct source_ops source_bpf;
extern const struct source_ops source_ptrace;
extern const struct source_ops source_replay;

/* The source called @name, or NULL. */
const struct source_ops *source_by_name(const char *name);

/* Walks the list in the order of preference: the @index-th source, NULL past the end. */
const struct source_ops *source_at(unsigned int index);

#endif
