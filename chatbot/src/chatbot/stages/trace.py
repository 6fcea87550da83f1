"""Spans round the parts of an answer, by hand: a stream outlives the function that began it, and may end by cancellation.

Names, numbers and identifiers only. Never a question, a passage, an answer, or the text of an error, which may quote one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context

from chatbot.stages.ports import Outside

CANCELLED = "chatbot.cancelled"


@contextmanager
def span(
    outside: Outside, name: str, parent: Span | None = None, **attributes: str | int | float
) -> Generator[Span]:
    """A span that ends when the block does, however it does."""
    begun = outside.tracer.start_span(
        name, context=None if parent is None else set_span_in_context(parent), attributes=attributes
    )
    with use_ending(begun):
        yield begun


@contextmanager
def use_ending(begun: Span) -> Generator[None]:
    """Ends the span when the block ends, and says how it did."""
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        begun.set_attribute(CANCELLED, True)
        raise
    except Exception as error:
        begun.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        begun.end()
