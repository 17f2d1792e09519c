"""What a user reads when the input is wrong: one message, without a traceback."""

from __future__ import annotations

from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from sinesweep import config as schema
from sinesweep.redaction import redact


def message(error: Exception) -> str:
    """Return what is wrong with the input, for errors of ours, of Hydra's and of OmegaConf's."""
    cause = error.__cause__ or error
    if isinstance(cause, (ConfigAttributeError, ConfigKeyError)) and cause.full_key:
        known = [str(key) for key in cause.parent_node or ()]  # pyright: ignore[reportGeneralTypeIssues]
        # Hydra's own, such as _target_, are not what was meant by a key of another form.
        hidden = not str(cause.key).startswith("_")
        siblings = [key for key in known if not (hidden and key.startswith("_"))]
        text = schema.unknown_key(str(cause.full_key), siblings)
    elif isinstance(cause, OmegaConfBaseException) and cause.full_key:
        text = f"{cause.full_key}: {cause.msg}"
    else:
        text = str(error).strip()
    return redact(text)
