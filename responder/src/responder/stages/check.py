"""Asks a live Prometheus about the series that runbooks and rules read. Not part of the flow: people call it, not alerts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from responder.core.defect import Defect
from responder.errors import SourceError
from responder.runbooks.lint.series import Known, judge, questions
from responder.runbooks.lint.subject import Subject

TIMEOUT = timedelta(seconds=5)
# As many questions at a time as a Prometheus in trouble can bear.
AT_ONCE = 8


class Series(Protocol):
    async def labels_of(self, metric: str, *, timeout: timedelta) -> frozenset[str]: ...

    async def edges_of(self, metric: str, *, timeout: timedelta) -> tuple[float, ...]: ...


async def ask_prometheus(subject: Subject, series: Series) -> tuple[Sequence[Defect], tuple[str, ...]]:
    """The defects that only a live Prometheus shows, and a note where it did not answer: that is nobody's defect."""
    asked = list(questions(subject))
    metrics = sorted({question.metric for question in asked})
    gate = asyncio.Semaphore(AT_ONCE)

    async def learn(metric: str) -> Known | None:
        async with gate:
            labels = await series.labels_of(metric, timeout=TIMEOUT)
            if not labels:
                return None
            edges = await series.edges_of(metric, timeout=TIMEOUT) if "le" in labels else ()
            return Known(labels=labels, edges=edges)

    answers = await asyncio.gather(*map(learn, metrics), return_exceptions=True)
    failed = next((answer for answer in answers if isinstance(answer, BaseException)), None)
    if isinstance(failed, SourceError):
        return (), (f"{failed}: the series were not checked, which says nothing against them.",)
    if failed is not None:
        raise failed
    known = {m: a for m, a in zip(metrics, answers, strict=True) if not isinstance(a, BaseException)}
    found = (judge(question, known[question.metric]) for question in asked)
    return [defect for defects in found for defect in defects], ()
