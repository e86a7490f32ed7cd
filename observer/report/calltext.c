/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/calltext.h"

#include "base/errname.h"
#include "event/memcalls.h"
#include "report/flagtext.h"

#include <fcntl.h>
#include <sys/mman.h>

#define ARGS 6

bool calltext_failed(const struct event_change *change)
{
	return change->has_ret && change->ret < 0 && change->ret >= -MAX_ERRNO;
}

static void add_addr(struct buf *buf, uint64_t addr)
{
	if (addr)
		buf_add_hex(buf, addr);
	else
		buf_add_str(buf, "NULL");
}

static void add_fd(struct buf *buf, uint64_t value)
{
	int32_t fd = (int32_t)value;

	if (fd == AT_FDCWD) {
		buf_add_str(buf, "cwd");
		return;
	}
	buf_add_str(buf, "fd ");
	buf_add_i64(buf, fd);
}

static void add_arg(struct buf *buf, const struct textstyle *style, enum arg_role role, uint64_t value,
		    const char *text)
{
	if (flagtext_add(buf, role, value))
		return;
	switch (role) {
	case ARG_ADDR:
	case ARG_PTR:
		add_addr(buf, value);
		break;
	case ARG_LEN:
		text_size(buf, value);
		break;
	case ARG_OFFSET:
		buf_add_str(buf, value ? "offset " : "offset 0");
		if (value)
			text_size(buf, value);
		break;
	case ARG_FD:
		add_fd(buf, value);
		break;
	case ARG_INT:
		buf_add_i64(buf, (int32_t)value);
		break;
	case ARG_PATH:
		if (text)
			escape_quoted(buf, text, style->escape);
		else
			buf_add_char(buf, '?');
		break;
	case ARG_HEX:
	case ARG_NONE:
	case ARG_PROT:
	case ARG_MAPFLAGS:
	case ARG_REMAPFLAGS:
	case ARG_ADVICE:
	case ARG_MLOCKFLAGS:
	case ARG_MLOCKALL:
	case ARG_SHMFLAGS:
	case ARG_CLONEFLAGS:
		buf_add_hex(buf, value);
		break;
	}
}

/* How many arguments the kernel looked at: an anonymous mapping has no file, and only some mremap take a new address. */
static unsigned int args_used(const struct memcall *call, const uint64_t *args)
{
	unsigned int count = 0;

	while (count < ARGS && call->args[count].role != ARG_NONE)
		count++;
	if (call->args[3].role == ARG_MAPFLAGS && (args[3] & MAP_ANONYMOUS))
		return 4;
	if (call->args[3].role == ARG_REMAPFLAGS && !(args[3] & (MREMAP_FIXED | MREMAP_DONTUNMAP)))
		return args[3] ? 4 : 3;
	return count;
}

static void add_result(struct buf *buf, const struct textstyle *style, const struct event_change *change)
{
	const char *meaning;

	if (!change->has_ret) {
		buf_add_str(buf, " = ?");
	} else if (calltext_failed(change)) {
		buf_add_str(buf, " = ");
		text_color(buf, style, COLOR_ERROR);
		buf_add_str(buf, "-1 ");
		buf_add_str(buf, errname((int)-change->ret));
		meaning = errname_meaning((int)-change->ret);
		if (meaning)
			buf_addf(buf, " (%s)", meaning);
		text_color_end(buf, style, COLOR_ERROR);
	} else if (change->call && change->call->ret == RET_ADDR) {
		buf_add_str(buf, " = ");
		buf_add_hex(buf, (uint64_t)change->ret);
	} else {
		buf_add_str(buf, " = ");
		buf_add_i64(buf, change->ret);
	}
}

/* Pointers at the end (argv, envp, the places for thread ids) say nothing by their address: "...". */
static void add_args(struct buf *buf, const struct textstyle *style, const struct event_change *change)
{
	const struct memcall_arg *args = change->call->args;
	unsigned int used = args_used(change->call, change->args), shown = used;

	while (shown > 1 && args[shown - 1].role == ARG_PTR)
		shown--;
	buf_add_char(buf, '(');
	for (unsigned int i = 0; i < shown; i++) {
		if (i)
			buf_add_str(buf, ", ");
		add_arg(buf, style, args[i].role, change->args[i], change->text);
	}
	buf_add_str(buf, shown < used ? ", ...)" : ")");
}

void calltext_add(struct buf *buf, const struct textstyle *style, const struct event_change *change)
{
	const struct memcall *call = change->call;
	bool single = change->count == 1 && !change->folded;

	escape_text(buf, change->name, style->escape);
	if (!call || !single) {
		buf_add_str(buf, "(...)");
	} else {
		add_args(buf, style, change);
	}
	if (single)
		add_result(buf, style, change);
}
