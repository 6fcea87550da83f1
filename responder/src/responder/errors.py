"""What can go wrong, drawn at the top.

    ResponderError
    ├── ConfigError            the environment or a policy file is wrong: the program does not start
    ├── RunbookError           a runbook cannot be read: file, line, reason
    ├── IllegalTransition      a state machine was asked for an event that its state does not allow
    ├── Conflict               someone else was first, or the thing changed since it was looked at
    ├── NotFound               no such incident, remediation, person
    ├── InvalidToken           a signed link or session is forged, expired or meant for something else
    ├── BadPayload             a request body that cannot be understood
    │   └── BadAnswers         what a person answered to the asks of a remedy is not taken
    ├── NotConfigured          what was asked needs a setting that is not there
    ├── StoreUnavailable       PostgreSQL does not answer                                   (try again)
    └── SourceError            something outside did not give what was asked
        ├── SourceUnavailable  refused the connection, timed out, or answered 5xx or 429    (try again)
        └── SourceRefused      answered that the request itself is wrong

The message of an error is a sentence for a person: what happened, the value, the limit, what to do.
"""

from __future__ import annotations

from collections.abc import Mapping


class ResponderError(Exception):
    """Root of every error that is raised on purpose. `permanent` says whether trying again can help."""

    permanent = True


class ConfigError(ResponderError):
    """The environment or a policy file is wrong."""


class RunbookError(ResponderError):
    """A runbook cannot be read."""

    def __init__(self, message: str, *, path: str, line: int = 1) -> None:
        super().__init__(f"{path}:{line}: {message}")
        self.path = path
        self.line = line
        self.message = message


class IllegalTransition(ResponderError):
    """The state does not allow the event; nothing was changed."""

    def __init__(self, *, thing: str, state: str, event: str, allowed: tuple[str, ...]) -> None:
        choices = ", ".join(allowed) or "nothing: this is a final state"
        super().__init__(f"{thing} is {state}: '{event}' is not possible. Possible now: {choices}.")
        self.state = state
        self.event = event


class Conflict(ResponderError):
    """Someone else was first, or the thing changed since it was looked at; nothing was changed."""


class NotFound(ResponderError):
    """There is no such thing."""


class InvalidToken(ResponderError):
    """A signed link or session is forged, expired or meant for something else."""


class BadPayload(ResponderError):
    """A request body that cannot be understood."""


class BadAnswers(BadPayload):
    """What a person answered to the asks of a remedy is not taken: what is wrong, by the name of the ask."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()) + " Nothing was changed.")
        self.problems = problems


class NotConfigured(ResponderError):
    """What was asked needs a setting that is not there; it may be there after the next start."""

    permanent = False


class StoreUnavailable(ResponderError):
    """PostgreSQL does not answer."""

    permanent = False


class SourceError(ResponderError):
    """Something outside did not give what was asked."""


class SourceUnavailable(SourceError):
    """Refused the connection, timed out, or answered 5xx or 429."""

    permanent = False


class SourceRefused(SourceError):
    """Answered that the request itself is wrong."""
