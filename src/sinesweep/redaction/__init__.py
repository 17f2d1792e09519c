"""Redaction of secrets: every text, structure and command that leaves a process passes here.

Values of unknown content enter. What leaves can be shown, stored and read back: structures are
redacted by key, command lines word by word, and running text by known values and patterns.
"""

from sinesweep.redaction.addresses import refuse_cut_password, refuse_malformed
from sinesweep.redaction.characters import is_storable, sanitize, sanitize_tree, shortened
from sinesweep.redaction.keys import add_rules, is_secret, reset_rules, user_rules
from sinesweep.redaction.known import forget, is_placeholder, learn, learn_addresses, learn_tree
from sinesweep.redaction.overrides import (
    learn_overrides,
    redact_override,
    redact_overrides,
    redacted_command,
    refuse_placeholders,
    without_notice,
)
from sinesweep.redaction.texts import (
    HIDDEN,
    LONGEST_ERROR,
    redact,
    redact_address,
    redact_error,
    redact_text,
    redact_traceback,
)
from sinesweep.redaction.trees import hidden_keys, redact_tree

__all__ = [
    "HIDDEN",
    "LONGEST_ERROR",
    "add_rules",
    "forget",
    "hidden_keys",
    "is_placeholder",
    "is_secret",
    "is_storable",
    "learn",
    "learn_addresses",
    "learn_overrides",
    "learn_tree",
    "redact",
    "redact_address",
    "redact_error",
    "redact_override",
    "redact_overrides",
    "redact_text",
    "redact_traceback",
    "redact_tree",
    "redacted_command",
    "refuse_cut_password",
    "refuse_malformed",
    "refuse_placeholders",
    "reset_rules",
    "sanitize",
    "sanitize_tree",
    "shortened",
    "user_rules",
    "without_notice",
]
