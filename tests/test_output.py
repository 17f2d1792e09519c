"""Standard streams of commands whose output nobody takes, as a shell starts them."""

from __future__ import annotations

import logging
import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest
from runner import BARE, ONE, PLAIN, ROOT, SMALL, Runner, environment

from sinesweep.output import protect_log_files
from sinesweep.tracking import record

_WORK = """
import logging, sys
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
print("early")
from sinesweep.output import protect_output
protect_output()
for _ in range(5000):
    print("line")
    logging.info("logged")
sys.stdout.close()
print("end")
sys.stderr.write("error output\\n")
open("done", "w").write("done")
sys.exit(3)
"""
_LOGGING = """
import hydra, logging

@hydra.main(config_path=None, config_name=None, version_base="1.3")
def main(cfg):
    for number in range(3):
        logging.getLogger(__name__).info("line %s", number)
    return cfg.x

main()
"""
# What becomes of the standard streams, in the words of a shell.
_STREAMS = ("| head -1", "| true", ">&-", ">&- 2>&-", "<&- >&- 2>&-", "> /dev/full", "2> /dev/full")


def shell(runner: Runner, command: str, streams: str) -> tuple[int, str]:
    """Run a command in bash; return its own exit code and what reached standard error."""
    line = f"{command} {streams}; echo ${{PIPESTATUS[0]}} > code"
    done = subprocess.run(
        ["bash", "-c", line], cwd=runner.folder, env=environment(), capture_output=True, text=True
    )
    return int((runner.folder / "code").read_text()), done.stderr


@pytest.mark.parametrize("streams", _STREAMS)
def test_output_errors_do_not_end_the_work(runner: Runner, streams: str) -> None:
    """A process whose output fails works to its end, exits with its own code and says nothing."""
    (runner.folder / "work.py").write_text(_WORK)
    code, err = shell(runner, f"{sys.executable} work.py", streams)

    assert code == 3
    assert (runner.folder / "done").exists()
    assert "Traceback" not in err
    assert "ignored" not in err


def test_log_file_on_a_full_disk(capfd: pytest.CaptureFixture[str]) -> None:
    """Lines that a log file cannot take are lost with one message; other errors are shown."""
    logger = logging.getLogger("test_log_file_on_a_full_disk")
    handler = logging.FileHandler("/dev/full")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        protect_log_files()
        for _ in range(3):
            logger.warning("a line")
        assert capfd.readouterr().err == (
            "sinesweep: /dev/full: must be writable, but is not (No space left on device): lines "
            "of this log are lost until it is; the work goes on\n"
        )
        logger.warning("%d", "no number")
        assert "TypeError" in capfd.readouterr().err
    finally:
        logger.removeHandler(handler)
        with suppress(OSError):
            handler.close()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["local", "inline"])
def test_trials_log_file_on_a_full_disk(runner: Runner, backend: str) -> None:
    """A trial whose log file takes nothing ends well and prints no traceback."""
    (runner.folder / "app.py").write_text(_LOGGING)
    done = runner._run(
        [
            "app.py", "-m", "hydra/sweeper=sinesweep", "+x=0,1", ONE,
            f"hydra.sweeper.backend={backend}", "hydra.sweeper.stream=true",
            "hydra.job_logging.handlers.file.filename=/dev/full",
        ],
        {},
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "2 complete" in done.out
    assert "Traceback" not in done.out + done.err
    assert (done.out + done.err).count("lines of this log are lost") == 2


def test_output_that_is_taken_is_complete(runner: Runner) -> None:
    """Nothing is lost or reordered where output works, not even after sys.stdout.close()."""
    (runner.folder / "work.py").write_text(_WORK)
    code, err = shell(runner, f"{sys.executable} work.py", "> out")

    lines = (runner.folder / "out").read_text().splitlines()
    assert lines == ["early", *["line", "logged"] * 5000, "end"]
    assert (code, err) == (3, "error output\n")


def test_terminal_that_disappears_does_not_end_the_work(runner: Runner) -> None:
    """Writes to a terminal that was closed fail, and the process goes on."""
    (runner.folder / "work.py").write_text(f"import sys\nsys.stdin.readline()\n{_WORK}")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "work.py"],
        cwd=runner.folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.close(ours)
    process.communicate(b"\n")

    assert process.returncode == 3
    assert (runner.folder / "done").exists()


def test_full_non_blocking_pipe_is_waited_for(runner: Runner) -> None:
    """A pipe that another process made non-blocking loses no line."""
    code = (
        "import os\nfrom sinesweep.output import protect_output\nprotect_output()\n"
        "os.set_blocking(1, False)\nfor n in range(50_000): print(n)"
    )
    assert runner.evaluate(code).out.split() == [str(n) for n in range(50_000)]


@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        ("| true", (0, "")),
        (">&-", (0, "")),
        ("> /dev/full", (1, "sinesweep: the output is incomplete: No space left on device\n")),
    ],
)
def test_listing_ends_quietly_or_says_that_it_is_incomplete(
    runner: Runner, streams: str, expected: tuple[int, str]
) -> None:
    """A reader that has seen enough is no error of a sinesweep command; a full disk is one."""
    (runner.folder / "listing.py").write_text(
        "import sys\nfrom sinesweep import commands\nfrom sinesweep.commands import list\n"
        "list.run = lambda options: print('row') or 0\nsys.exit(commands.main(['list']))"
    )
    code, message = expected
    assert shell(runner, f"{sys.executable} listing.py", streams) == (code, message)


@pytest.mark.slow
@pytest.mark.parametrize("streams", ["| head -1", ">&- 2>&-", "> /dev/full"])
def test_sweep_completes_without_output(runner: Runner, streams: str) -> None:
    """A sweep's exit code and trials do not depend on who takes its output."""
    code, err = shell(runner, f"{sys.executable} {PLAIN} -m x=1,2 {ONE}", streams)

    assert (code, err) == (0, "")
    (table,) = runner.folder.glob("multirun/*/trials.csv")
    assert table.read_text().count(",COMPLETE,") == 2
    assert "x=1" in (table.parent / "trials" / "0" / "trial.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("streams", ["| head -1", ">&- 2>&-", "> /dev/full"])
def test_run_finishes_without_output(runner: Runner, streams: str) -> None:
    """A run's exit code and state do not depend on who takes its output."""
    words = " ".join([*SMALL, *BARE])
    code, err = shell(runner, f"{sys.executable} {ROOT}/src/train.py {words}", streams)

    assert (code, err) == (0, "")
    end = record.last_end(runner.run_folder())
    assert end is not None
    assert end["status"] == record.FINISHED
