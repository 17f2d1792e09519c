"""Runs command lines in forked children, whose imports are paid once.

Reads one JSON object per line from stdin: ``{"program": ..., "arguments": [...], "folder": ...}``.
Writes one per line to stdout: ``{"code": ..., "out": ..., "err": ..., "new": [...]}``.
A child runs every check of its command. Training, trials, servers and further processes are
replaced by an immediate success.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn

from hydra.core.plugins import Plugins

import sinesweep.cli
import sinesweep.commands
import sinesweep.sweep.command
import sinesweep.sweep.conduct
import sinesweep.sweep.custom_space
import sinesweep.training.result
import sinesweep.winner.replication

PLAIN = Path(__file__).parent.parent / "sweep" / "plain" / "app.py"
TRAIN = Path(__file__).parent.parent.parent / "src" / "train.py"
LIMIT = 120  # seconds for one command line on a loaded machine
MEMORY = 4 << 30  # bytes of address space: a range must not be listed in memory


def main() -> None:
    """Serve until stdin is closed."""
    _replace_what_follows_the_checks()
    Plugins.instance()  # reads the installed plugins
    for line in sys.stdin:
        print(json.dumps(_serve(json.loads(line))), flush=True)  # noqa: T201


def _replace_what_follows_the_checks() -> None:
    serial: Any = ModuleType("sinesweep.training.serial")
    serial.__spec__ = find_spec(serial.__name__)
    serial.train = lambda *_, **__: None
    sys.modules[serial.__name__] = serial
    conduct: Any = sinesweep.sweep.conduct
    conduct._conduct = lambda *_, **__: 0

    command: Any = sinesweep.sweep.command
    command._nursery = lambda *_: SimpleNamespace(close=lambda: None)

    def succeed(*_: Any, **__: Any) -> NoReturn:
        raise SystemExit(0)

    for module, name in ((os, "execve"), (subprocess, "run"), (subprocess, "Popen")):
        setattr(module, name, succeed)


def _serve(request: dict[str, Any]) -> dict[str, Any]:
    folder = Path(request["folder"])
    before = _files(folder)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            _run(request, out.fileno(), err.fileno())
        _, status = os.waitpid(pid, 0)
        texts = [_text(out), _text(err)]
    return {
        "code": os.waitstatus_to_exitcode(status),
        "out": texts[0],
        "err": texts[1],
        "new": sorted(_files(folder) - before),
    }


def _run(request: dict[str, Any], out: int, err: int) -> NoReturn:
    code = 1
    try:
        signal.alarm(LIMIT)
        os.chdir(request["folder"])
        for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
            os.dup2(source, target)
        code = _code_of(request["program"], request["arguments"])
    except SystemExit as leaving:
        code = _number(leaving.code)
    except BaseException:  # noqa: BLE001 # as the interpreter does
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _code_of(program: str, arguments: list[str]) -> int:
    if program == "sinesweep":
        sys.argv = ["sinesweep", *arguments]
        return sinesweep.commands.main(arguments)
    path = TRAIN if program == "train" else PLAIN
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, str(path.parent))
    runpy.run_path(str(path), run_name="__main__")
    return 0


def _number(code: Any) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code
    print(code, file=sys.stderr)  # noqa: T201
    return 1


def _text(file: Any) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


if __name__ == "__main__":
    main()
