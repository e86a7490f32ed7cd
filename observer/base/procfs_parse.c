/* SPDX-License-Identifier: GPL-2.0-only */
/* The parsers of procfs: pure functions of bytes that need not be NUL-terminated. */
#include "base/procfs.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#define KB 1024

/* What is left of a text. */
struct scan {
	const char *at, *end;
};

static bool scan_char(struct scan *scan, char c)
{
	if (scan->at == scan->end || *scan->at != c)
		return false;
	scan->at++;
	return true;
}

static void skip_blanks(struct scan *scan)
{
	while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t'))
		scan->at++;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return 16;
}

/* A number in @base, which is 10 or 16; false without a digit, or where it does not fit. */
static bool scan_number(struct scan *scan, unsigned int base, uint64_t *out)
{
	const char *first = scan->at;
	uint64_t value = 0;

	while (scan->at < scan->end) {
		unsigned int digit = (unsigned int)digit_value(*scan->at);

		if (digit >= base)
			break;
		if (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, digit, &value))
			return false;
		scan->at++;
	}
	*out = value;
	return scan->at > first;
}

/* Takes the next line off @scan, without its newline. False at the end. */
static bool scan_line(struct scan *scan, struct scan *line)
{
	const char *newline;

	if (scan->at == scan->end)
		return false;
	newline = memchr(scan->at, '\n', (size_t)(scan->end - scan->at));
	line->at = scan->at;
	line->end = newline ? newline : scan->end;
	scan->at = newline ? newline + 1 : scan->end;
	return true;
}

/* One "Name:  number" line that is wanted. */
struct field {
	const char *name;
	unsigned int unit; /* what the number is multiplied by */
	int64_t *to;
};

static const struct field *find_field(const struct field *fields, const struct scan *line, size_t name_len)
{
	for (; fields->name; fields++) {
		if (strlen(fields->name) == name_len && !memcmp(fields->name, line->at, name_len))
			return fields;
	}
	return NULL;
}

/* Reads the wanted lines of a "Name: number" text. How many there were, or -EBADMSG where one has no number. */
static int parse_fields(const char *text, size_t len, const struct field *fields)
{
	struct scan scan = { text, text + len }, line;
	int found = 0;

	while (scan_line(&scan, &line)) {
		const char *colon = memchr(line.at, ':', (size_t)(line.end - line.at));
		const struct field *field = colon ? find_field(fields, &line, (size_t)(colon - line.at)) : NULL;
		uint64_t value;

		if (!field)
			continue;
		line.at = colon + 1;
		skip_blanks(&line);
		if (!scan_number(&line, 10, &value) || value > INT64_MAX / KB)
			return -EBADMSG;
		*field->to = (int64_t)(value * field->unit);
		found++;
	}
	return found;
}

/* The letter of "State:\tS (sleeping)", or '\0'. A name cannot forge the line: the kernel escapes newlines in it. */
static char parse_state(const char *text, size_t len)
{
	struct scan scan = { text, text + len }, line;

	while (scan_line(&scan, &line)) {
		if (line.end - line.at >= 8 && !memcmp(line.at, "State:\t", 7))
			return line.at[7];
	}
	return '\0';
}

int procfs_parse_status(const char *text, size_t len, struct procfs_status *out)
{
	int64_t tgid = -1, ppid = -1, tracer = 0, uid = -1, threads = 0, virt = -1, hwm = 0, peak = 0;
	struct procfs_mem mem = { 0 };
	const struct field fields[] = {
		{ "Tgid", 1, &tgid },	      { "PPid", 1, &ppid },
		{ "TracerPid", 1, &tracer },  { "Uid", 1, &uid },
		{ "Threads", 1, &threads },   { "VmSize", KB, &virt },
		{ "VmRSS", KB, &mem.rss },    { "RssAnon", KB, &mem.anon },
		{ "RssFile", KB, &mem.file }, { "RssShmem", KB, &mem.shmem },
		{ "VmSwap", KB, &mem.swap },  { "VmHWM", KB, &hwm },
		{ "VmPeak", KB, &peak },      { NULL, 0, NULL },
	};

	if (parse_fields(text, len, fields) < 0 || tgid < 0 || ppid < 0)
		return -EBADMSG;
	mem.virt = virt < 0 ? 0 : virt;
	*out = (struct procfs_status){
		.tgid = (pid_t)tgid,
		.ppid = (pid_t)ppid,
		.tracer = (pid_t)tracer,
		.uid = (uid_t)uid,
		.threads = (unsigned int)threads,
		.state = parse_state(text, len),
		.has_mm = virt >= 0,
		.hwm = (uint64_t)hwm,
		.peak = (uint64_t)peak,
		.mem = mem,
	};
	return 0;
}

int procfs_parse_rollup(const char *text, size_t len, struct procfs_rollup *out)
{
	struct procfs_rollup rollup = { .rss = -1 };
	const struct field fields[] = {
		{ "Rss", KB, &rollup.rss },
		{ "Pss", KB, &rollup.pss },
		{ "Anonymous", KB, &rollup.anon },
		{ "LazyFree", KB, &rollup.lazy_free },
		{ "AnonHugePages", KB, &rollup.anon_huge },
		{ "Swap", KB, &rollup.swap },
		{ "Locked", KB, &rollup.locked },
		{ NULL, 0, NULL },
	};

	if (parse_fields(text, len, fields) < 0 || rollup.rss < 0)
		return -EBADMSG;
	*out = rollup;
	return 0;
}

/* "PID (comm) S PPID ...": the name may hold blanks and parentheses, so it ends at the last one. */
int procfs_parse_stat(const char *text, size_t len, struct procfs_stat *out)
{
	enum { FIELD_STATE = 3, FIELD_PPID = 4, FIELD_START = 22 };
	const char *open = memchr(text, '(', len), *close = memrchr(text, ')', len);
	struct scan scan = { close ? close + 1 : NULL, text + len };
	struct procfs_stat stat = { 0 };
	size_t comm_len;
	uint64_t value;

	if (!open || !close || close < open)
		return -EBADMSG;
	comm_len = (size_t)(close - open - 1);
	if (comm_len >= sizeof(stat.comm))
		return -EBADMSG;
	memcpy(stat.comm, open + 1, comm_len);
	for (int field = FIELD_STATE; field <= FIELD_START; field++) {
		if (!scan_char(&scan, ' ') || scan.at == scan.end)
			return -EBADMSG;
		if (field == FIELD_STATE) {
			stat.state = *scan.at++;
			continue;
		}
		(void)scan_char(&scan, '-');
		if (!scan_number(&scan, 10, &value))
			return -EBADMSG;
		if (field == FIELD_PPID)
			stat.ppid = (pid_t)value;
	}
	stat.start_ticks = value;
	*out = stat;
	return 0;
}

/* "rwxp" or "r--s" and the like. */
static bool scan_prot(struct scan *scan, struct procfs_map *map)
{
	static const struct {
		char letter;
		uint32_t prot;
	} letters[] = { { 'r', PROT_READ }, { 'w', PROT_WRITE }, { 'x', PROT_EXEC } };

	for (unsigned int i = 0; i < 3; i++) {
		if (scan_char(scan, letters[i].letter))
			map->prot |= letters[i].prot;
		else if (!scan_char(scan, '-'))
			return false;
	}
	map->shared = scan_char(scan, 's');
	return map->shared || scan_char(scan, 'p');
}

int procfs_parse_map(const char *text, size_t len, size_t *pos, struct procfs_map *out)
{
	struct scan scan = { text + *pos, text + len }, line;
	struct procfs_map map = { 0 };
	uint64_t major, minor;

	if (!scan_line(&scan, &line))
		return 0;
	if (!scan_number(&line, 16, &map.start) || !scan_char(&line, '-') || !scan_number(&line, 16, &map.end) ||
	    map.end <= map.start || !scan_char(&line, ' ') || !scan_prot(&line, &map) || !scan_char(&line, ' ') ||
	    !scan_number(&line, 16, &map.offset) || !scan_char(&line, ' ') || !scan_number(&line, 16, &major) ||
	    !scan_char(&line, ':') || !scan_number(&line, 16, &minor) || !scan_char(&line, ' ') ||
	    !scan_number(&line, 10, &map.inode) || major > UINT32_MAX || minor > UINT32_MAX)
		return -EBADMSG;
	if (line.at < line.end && *line.at != ' ')
		return -EBADMSG;
	map.dev = makedev((unsigned int)major, (unsigned int)minor);
	skip_blanks(&line);
	map.path = line.at;
	map.path_len = (size_t)(line.end - line.at);
	*out = map;
	*pos = (size_t)(scan.at - text);
	return 1;
}
