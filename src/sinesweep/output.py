"""Standard streams that drop what cannot be written: output errors must not end the work.

The reader of a pipe may exit, a terminal may disappear, a disk may be full, and a stream may be
closed from the start. Log files are written apart from the standard streams.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import select
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDIN = 0
_STREAMS = (("stdout", 1), ("stderr", 2))


class _LossyFile(io.FileIO):
    """A descriptor that drops what it cannot write.

    Attributes:
        error: the first error.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.name = name
        self.error: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write what the descriptor takes, or drop all of it."""
        try:
            while (written := super().write(data)) is None:  # a non-blocking pipe is full
                select.select([], [self], [])
        except OSError as error:
            self.error = self.error or error
            return memoryview(data).nbytes
        return written


class _Stream(io.TextIOWrapper):
    """A standard stream that stays open: a process has one, and its libraries share it."""

    def close(self) -> None:
        """Flush."""
        self.flush()


def protect_output() -> None:
    """Let standard output and standard error drop what cannot be written.

    Streams that were closed when the process started go to the null device, so that no file that
    is opened later takes their descriptors.
    """
    if sys.__stdin__ is None and not _is_open(_STDIN):
        _open_null(_STDIN, os.O_RDONLY)
    for name, descriptor in _STREAMS:
        before = getattr(sys, f"__{name}__")
        if isinstance(before, _Stream):
            continue
        after = _closed_stream(name, descriptor) if before is None else _same_stream(name, before)
        setattr(sys, f"__{name}__", after)
        if getattr(sys, name) is before:
            setattr(sys, name, after)
        for handler in stream_handlers():
            if handler.stream is before:
                handler.setStream(after)


def protect_log_files() -> None:
    """Let the files of loggers drop what cannot be written, with one message for each file."""
    for handler in stream_handlers():
        if isinstance(handler, logging.FileHandler):
            handler.handleError = _LostLines(handler)


class _LostLines:
    """Print one message for a log file that cannot be written, instead of a traceback per line."""

    def __init__(self, handler: logging.FileHandler) -> None:
        self._handler = handler
        self._is_told = False

    def __call__(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            logging.Handler.handleError(self._handler, record)
        elif not self._is_told:
            self._is_told = True
            print(  # noqa: T201
                f"sinesweep: {self._handler.baseFilename}: must be writable, but is not "
                f"({error.strerror}): lines of this log are lost until it is; the work goes on",
                file=sys.stderr,
            )


def output_error() -> OSError | None:
    """Return why standard output is incomplete. A reader that has seen enough is no error."""
    stream = sys.__stdout__
    if not isinstance(stream, _Stream):
        return None
    stream.flush()
    error = stream.buffer.raw.error  # pyright: ignore[reportAttributeAccessIssue] # a _LossyFile
    return None if error is None or error.errno == errno.EPIPE else error


def stream_handlers() -> Iterator[logging.StreamHandler[Any]]:
    """Yield the handlers of all loggers that write to a stream."""
    named = logging.root.manager.loggerDict.values()
    for logger in [logging.root, *(each for each in named if isinstance(each, logging.Logger))]:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler):
                yield handler


def _same_stream(name: str, before: TextIO) -> TextIO:
    assert isinstance(before, io.TextIOWrapper)
    try:
        before.flush()
    except OSError:
        # The text would be written again, and fail again, when the interpreter exits.
        _open_null(before.fileno(), os.O_WRONLY)
        before.flush()
    return _Stream(
        io.BufferedWriter(_LossyFile(before.fileno(), f"<{name}>")),
        encoding=before.encoding,
        errors=before.errors,
        line_buffering=before.line_buffering,
        write_through=before.write_through,
    )


def _closed_stream(name: str, descriptor: int) -> TextIO:
    if _is_open(descriptor):  # the descriptor belongs to a file that was opened meanwhile
        descriptor = os.open(os.devnull, os.O_WRONLY)
    else:
        _open_null(descriptor, os.O_WRONLY)
    file = _LossyFile(descriptor, f"<{name}>")
    return _Stream(io.BufferedWriter(file), encoding="utf-8", errors="backslashreplace")


def _open_null(descriptor: int, flags: int) -> None:
    opened = os.open(os.devnull, flags)
    if opened == descriptor:
        os.set_inheritable(opened, True)
        return
    os.dup2(opened, descriptor)
    os.close(opened)


def _is_open(descriptor: int) -> bool:
    with suppress(OSError):
        os.fstat(descriptor)
        return True
    return False
