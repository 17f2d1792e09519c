"""Things that trials do to their process, and a look at whether an earlier trial has done any."""

import locale
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import sinesweep


def fork_return() -> None:
    """Return in the child, too."""
    os.fork()


def fork_raise() -> None:
    """Raise in the child."""
    if os.fork() == 0:
        raise ValueError("in the child")


def fork_report() -> None:
    """Use the trial's handle in the child."""
    child = os.fork()
    if child == 0:
        sinesweep.current_trial().report(7.0, 0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 1:
        raise AssertionError("a child has reported")


def delete_directory() -> None:
    """Stay in a directory that is gone."""
    Path("gone").mkdir()
    os.chdir("gone")
    Path("../gone").rmdir()


def delete_folder() -> None:
    """Delete the trial's folder."""
    folder = sinesweep.current_trial().directory
    assert folder is not None
    shutil.rmtree(folder)


def new_session() -> None:
    """Leave a process in a session of its own, and one whose parent is gone."""
    sleep = [sys.executable, "-c", "import time; time.sleep(1000)"]
    process = subprocess.Popen(sleep, start_new_session=True)
    code = (
        "import subprocess, sys\n"
        "null = subprocess.DEVNULL\n"
        "print(subprocess.Popen(sys.argv[1:], stdout=null, start_new_session=True).pid)"
    )
    orphan = subprocess.check_output([sys.executable, "-c", code, *sleep], text=True)
    Path("daemons").write_text(f"{process.pid} {orphan}")


def environment() -> None:
    """Change variables, umask, a limit, the locale and the search path."""
    os.environ["PATH"] = "/nowhere"
    os.umask(0o777)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    locale.setlocale(locale.LC_ALL, "C")
    sys.path.clear()


def signals() -> None:
    """Leave a handler, a pending signal that would end the process, and a timer."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
    signal.setitimer(signal.ITIMER_REAL, 1000)


def close_streams() -> None:
    """Close standard output, from Python and below it."""
    sys.stdout.close()
    os.close(1)
    sys.stderr = None


def close_descriptors() -> None:
    """Close every file, as programs do that become daemons."""
    os.closerange(3, 1000)


def leave_thread() -> None:
    """Leave a thread that runs on."""
    threading.Thread(target=time.sleep, args=(1000,), name="left").start()


MISDEEDS = {
    each.__name__: each
    for each in (
        fork_return, fork_raise, fork_report, delete_directory, delete_folder, new_session,
        environment, signals, close_streams, close_descriptors, leave_thread,
    )
}  # fmt: skip


def state() -> dict[str, object]:
    """Return what a trial finds."""
    return {
        "directory": str(Path.cwd()),
        "path": os.environ.get("PATH"),
        "limit": resource.getrlimit(resource.RLIMIT_CORE),
        "umask": _umask(),
        "locale": locale.setlocale(locale.LC_ALL),
        "modules": tuple(sys.path),
        "handler": signal.getsignal(signal.SIGTERM),
        "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "streams": (sys.stdout is not None, sys.stderr is not None, os.fstat(1) is not None),
        "threads": [each.name for each in threading.enumerate() if each.name == "left"],
    }


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


FIRST: dict[str, object] = {}


def check_state() -> None:
    """Fail where the process is not as its first trial found it."""
    found = state()
    FIRST.update({key: value for key, value in found.items() if key not in FIRST})
    changed = [key for key in FIRST if FIRST[key] != found[key]]
    if changed:
        raise AssertionError(f"changed: {changed}")
