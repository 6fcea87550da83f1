"""What can go wrong in the local stack. The message says what happened and what to do."""

from __future__ import annotations


class DrillError(Exception):
    """Root of every error that is raised on purpose."""


class MissingProgram(DrillError):
    """A program of the distribution is not installed."""


class PortTaken(DrillError):
    """Something else listens on a port that the stack needs."""


class ChildDied(DrillError):
    """A program of the stack ended when it should run."""


class NotReady(DrillError):
    """A program of the stack did not answer in time."""
