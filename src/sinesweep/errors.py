"""The two ways in which a command can go wrong: the user's input, or an interruption."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_INPUT = 2
EXIT_INTERRUPTED = 130


class InputError(Exception):
    """The user's input is wrong.

    The message names the rule, the value and the fix. Commands print it alone, without a
    traceback, and exit with 2.
    """


class SweepFailed(Exception):  # noqa: N818 # a verdict, not a fault of the program
    """A sweep ended for a reason of its own: too many failures, or nothing left to run trials."""


class HookFailed(SweepFailed):
    """A sampler, a constraints_func, a pruner or a terminator has raised an exception."""


class StudyAway(SweepFailed):
    """The study's database has been away for too long."""


class EnvironmentFault(Exception):  # noqa: N818 # not a fault of the program
    """The environment refuses to write files: a full disk, a quota, a read-only folder.

    The message names the file, the cause and the remedy. What was running is interrupted, not
    failed.
    """


class ForecastFault(Exception):  # noqa: N818 # of the user's module, not of the program
    """A module does not map the task's series to forecasts.

    The message names the required mapping. The run is FAILED; the command prints the message
    alone and exits with 1.
    """


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or another stop signal asked the process to stop."""
