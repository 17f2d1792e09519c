"""The command line of this process as the user typed it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sinesweep.redaction import redact_overrides, redacted_command

DEFAULT_INTERPRETER = ("python",)
_MODULE = "-m"
_LETTERS_WITH_VALUE = "cmWX"
_LONG_WITH_VALUE = "--check-hash-based-pycs"


@dataclass(frozen=True)
class CommandLine:
    """A command that starts a Python program.

    Attributes:
        arguments: the script, or the name of the module, and then its arguments.
        interpreter: the interpreter and its options; the last word is ``-m`` for a module.
    """

    arguments: Sequence[str]
    interpreter: Sequence[str] = DEFAULT_INTERPRETER

    @property
    def program(self) -> Sequence[str]:
        """The words before the program's own arguments."""
        return (*self.interpreter, self.arguments[0])

    @property
    def is_module(self) -> bool:
        """Whether the program is a module instead of a script."""
        return self.interpreter[-1] == _MODULE

    @property
    def redacted(self) -> CommandLine:
        """The command without credentials."""
        return CommandLine(redact_overrides(self.arguments), self.interpreter)

    @property
    def text(self) -> str:
        """The command without credentials, quoted for a shell."""
        return redacted_command([*self.interpreter, *self.arguments])


def typed() -> CommandLine:
    """Return the command line of this process.

    The interpreter is ``python`` if the process was not started by this command line, as in a
    notebook.
    """
    script, *arguments = sys.argv
    words = sys.orig_argv[: len(sys.orig_argv) - len(arguments)]
    interpreter, program = _split(words)
    if interpreter and _is_same(script, program, interpreter):
        return CommandLine([program, *arguments], interpreter)
    return CommandLine(sys.argv, DEFAULT_INTERPRETER)


def _split(words: Sequence[str]) -> tuple[Sequence[str], str]:
    """Return the interpreter with its options, and the program; nothing if words follow it."""
    index = 1
    while index < len(words):
        word = words[index]
        if not word.startswith("-") or word == "-":
            return (words[:index], word) if index == len(words) - 1 else ((), "")
        place = _place_of_value(word)
        if place is not None and word[place - 1] in "cm" and not word.startswith("--"):
            rest = [word[place:]] if word[place:] else words[index + 1 :]
            options = [*words[:index], word[:place]]
            return (options, rest[0]) if len(rest) == 1 else ((), "")
        index += 2 if place == len(word) else 1
    return (), ""


def _place_of_value(option: str) -> int | None:
    """Return where the value of an interpreter's option begins, or None if it takes none."""
    if option.startswith("--"):
        return len(option) if option == _LONG_WITH_VALUE else None
    return next((i + 1 for i, c in enumerate(option) if c in _LETTERS_WITH_VALUE), None)


def _is_same(script: str, program: str, interpreter: Sequence[str]) -> bool:
    if not interpreter[-1].endswith("m") or not interpreter[-1].startswith("-"):
        return script == program
    last = program.rpartition(".")[2]
    return Path(script).stem == last or Path(script).parts[-2:] == (last, "__main__.py")
