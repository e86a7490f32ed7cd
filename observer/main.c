/* SPDX-License-Identifier: GPL-2.0-only */
#include "doctor.h"
#include "options.h"
#include "playback.h"
#include "session.h"

#include <locale.h>

int main(int argc, char **argv)
{
	struct options options;
	int status = EXIT_FAILED;

	setlocale(LC_CTYPE, "");
	options_parse(argc, argv, &options);
	switch (options.command) {
	case COMMAND_WATCH:
		status = session_run(&options);
		break;
	case COMMAND_REPORT:
		status = playback_run(&options);
		break;
	case COMMAND_DOCTOR:
		status = doctor_run();
		break;
	}
	options_free(&options);
	return status;
}
