/* SPDX-License-Identifier: GPL-2.0-only */
#include "source/bpf_calls.h"

#define ARGS_MAX 6

static const struct bpf_call *call_learn(struct bpf_call *known, int32_t nr)
{
	const struct memcall *call = memcall_by_nr(nr);

	*known = (struct bpf_call){ .name = syscall_name(nr), .call = call, .nr = nr, .args = ARGS_MAX };
	if (call)
		known->args = memcall_arg_count(call);
	for (unsigned int i = 0; call && i < known->args; i++)
		known->path |= call->args[i].role == ARG_PATH || call->args[i].role == ARG_FD;
	return known;
}

const struct bpf_call *bpf_call_find(struct bpf_calls *calls, int32_t nr)
{
	struct bpf_call *known = &calls->known[(uint32_t)nr % WIRE_SYSCALLS];

	return known->name && known->nr == nr ? known : call_learn(known, nr);
}
