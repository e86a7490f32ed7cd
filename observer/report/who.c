/* SPDX-License-Identifier: GPL-2.0-only */
#include "report/who.h"

bool who_known(struct who *who, const struct event *event)
{
	if (who->text.len && who->pid == event->pid && who->tid == event->tid && who->mm == event->mm &&
	    !memcmp(who->comm, event->comm, sizeof(who->comm)))
		return true;
	who->pid = event->pid;
	who->tid = event->tid;
	who->mm = event->mm;
	memcpy(who->comm, event->comm, sizeof(who->comm));
	buf_reset(&who->text);
	return false;
}

void who_free(struct who *who)
{
	buf_free(&who->text);
}
