"""Programs as whole processes, timed: in a folder of their own, with nothing of this environment.

Also the environments that other people's programs run in.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_SHOWN = 3_000  # characters of what a program that failed has said


class ProgramError(Exception):
    """A program ended with another code than 0; the text is the end of what it said."""


def seconds_of(commands: Sequence[Sequence[object]], folder: Path, **variables: str) -> float:
    """Run programs side by side in a new folder; return seconds until all have ended.

    Args:
        commands: what to run.
        folder: made; each program writes what it says to a log there.
        variables: their environment besides PATH and HOME, which is the folder's own, so that
            caches last from one run to the next.

    Raises:
        ProgramError: one of them failed.
    """
    folder.mkdir(parents=True)
    logs = [folder / f"{index}.log" for index in range(len(commands))]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), **variables}
    running: list[subprocess.Popen[bytes]] = []
    start = time.perf_counter()
    try:
        for command, path in zip(commands, logs, strict=True):
            with path.open("wb") as log:
                words = [str(word) for word in command]
                running.append(
                    subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log)
                )
        codes = [program.wait() for program in running]
    finally:
        for program in running:
            if program.poll() is None:
                program.terminate()
                program.wait()
    seconds = time.perf_counter() - start
    for command, code, path in zip(commands, codes, logs, strict=True):
        if code:
            said = path.read_text(errors="replace")[-_SHOWN:]
            raise ProgramError(f"{' '.join(map(str, command))} ended with {code}:\n{said}")
    return seconds


def family(pid: int) -> Iterator[int]:
    """Yield a process and all that it started, by their parents."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in children:
        yield from family(int(child))


def make_environment(folder: Path, packages: Sequence[str], constraints: str = "") -> Path:
    """Return the interpreter of an environment, which is made where it is not there yet.

    Args:
        folder: where it is.
        packages: what it holds.
        constraints: versions of what they need, as in ``constraints.txt``.

    Raises:
        ProgramError: a package could not be installed.
    """
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        file = folder / "constraints.txt"
        file.write_text(constraints)
        pip = [python, "-m", "pip", "install", "--quiet", "--constraint", file, *packages]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode:
            raise ProgramError(done.stderr[-_SHOWN:])
        (folder / "made").touch()
    return python
