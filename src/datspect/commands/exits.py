"""What commands end with; docs/exit-codes.md is the table for users."""

from datspect.errors import DatspectError

FOUND = 1
"""The answer is no: something was found, refused or left out. An error, which says `error: ...`, ends with it too."""
WRONG_USE = 2
"""The command line cannot be understood, or asks for what does not go together."""
NO_VERDICT = 3
"""There is nothing to compare with."""
STOPPED = 130
"""Ctrl-C, as in shells."""
SIGNALLED = 128
"""With the number of the signal added, as in shells: a signal ended the program, or the server that it ran."""


class WrongUseError(DatspectError):
    """Options do not go together, or a value of one is impossible; nothing was done."""
