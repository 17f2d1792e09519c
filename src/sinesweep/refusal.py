"""What a user reads when the input is wrong: one message, without a traceback."""

from __future__ import annotations

import yaml
from hydra.errors import HydraException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from sinesweep import config as schema
from sinesweep.errors import InputError
from sinesweep.redaction import redact

_LONGEST = 3000  # characters


def message(error: Exception) -> str:
    """Return what is wrong with the input, for whatever composing a configuration raises."""
    text = redact(_text(error, error.__cause__ or error))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def _text(error: Exception, cause: BaseException) -> str:
    if isinstance(cause, (ConfigAttributeError, ConfigKeyError)) and cause.full_key:
        known = [str(key) for key in cause.parent_node or ()]  # pyright: ignore[reportGeneralTypeIssues]
        # Hydra's own, such as _target_, are not what was meant by a key of another form.
        hidden = not str(cause.key).startswith("_")
        siblings = [key for key in known if not (hidden and key.startswith("_"))]
        return schema.unknown_key(str(cause.full_key), siblings)
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return schema.unresolved(cause)
    if isinstance(cause, yaml.YAMLError):
        return _yaml_text(cause)
    if isinstance(cause, UnicodeDecodeError):
        return f"a configuration file must be UTF-8 text, but one is not ({cause})"
    if isinstance(cause, OSError) and not isinstance(cause, HydraException):
        where = f"{schema.shown(cause.filename)}: " if cause.filename else ""
        return f"{where}must be readable, or writable, but is not ({cause.strerror or cause})"
    if isinstance(cause, RecursionError):
        return "the configuration must not be nested so deeply: a value holds too many others"
    if isinstance(error, (InputError, HydraException, OmegaConfBaseException)):
        return str(error).strip()
    said = str(cause).strip() or type(cause).__name__
    return f"Hydra cannot compose the configuration: {said} (HYDRA_FULL_ERROR=1 shows where)"


def _yaml_text(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return f"{where}must be valid YAML, but is not ({problem}): correct the file"
