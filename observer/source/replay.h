/* SPDX-License-Identifier: GPL-2.0-only */
/* replay: the source whose events come from a recording. source_replay is opened with config->file.
 *
 * poll() ends with -ENODATA after a whole recording, -EPIPE where the file ends without its end line (all events of whole
 * lines were delivered), and -EBADMSG at a line that is wrong (all before it were delivered); then replay_reason() says
 * which file, which line and why, and detach() closes the books that are open. */
#ifndef HEAPTRACE_REPLAY_H
#define HEAPTRACE_REPLAY_H

#include "source/replay_parse.h"
#include "source/source.h"

/* The first line of the recording behind @source, which must be one of source_replay. Valid until close. */
const struct replay_header *replay_header(const struct source *source);

/* Its last line, or NULL before poll() has said -ENODATA. */
const struct replay_end *replay_end(const struct source *source);

/* Why poll() failed, as one line, or NULL where it did not. */
const char *replay_reason(const struct source *source);

#endif
