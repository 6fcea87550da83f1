"""A finding: a claim about the cause that cites its evidence. Nothing is claimed that no evidence shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from responder.core.evidence import Evidence, EvidenceId, Judgement, Outcome


class Confidence(StrEnum):
    """How sure a claim is: measured directly, concluded from several measurements, or worth a look."""

    MEASURED = "measured"
    LIKELY = "likely"
    POSSIBLE = "possible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    claim: str
    confidence: Confidence
    component: str | None
    cites: tuple[EvidenceId, ...]


# One series or one kind of log line that holds this share or more is called the main one.
DOMINANT_SHARE = 0.8


def draw_findings(evidence: Sequence[Evidence]) -> tuple[Finding, ...]:
    """The claims that the evidence supports, the most useful first."""
    found = [
        *_dependencies(evidence),
        *_main_series(evidence),
        *_main_log_event(evidence),
        *_threshold(evidence),
        *_missing(evidence),
    ]
    order = list(Confidence)
    return tuple(sorted(found, key=lambda finding: order.index(finding.confidence)))


def _done(evidence: Sequence[Evidence], kind: str) -> list[Evidence]:
    return [item for item in evidence if item.kind == kind and item.outcome is Outcome.OK]


def _dependencies(evidence: Sequence[Evidence]) -> Iterator[Finding]:
    probes = _done(evidence, "http")
    down = [item for item in probes if item.judgement is Judgement.BAD]
    for item in down:
        yield Finding(
            claim=f"{_component(item)} is not healthy: {item.verdict}.",
            confidence=Confidence.MEASURED,
            component=_component(item),
            cites=(item.id,),
        )
    if probes and not down:
        names = ", ".join(_component(item) for item in probes)
        yield Finding(
            claim=f"The dependencies answer as healthy ({names}): the fault is more likely in the service itself.",
            confidence=Confidence.LIKELY,
            component=None,
            cites=tuple(item.id for item in probes),
        )


def _component(item: Evidence) -> str:
    return str(item.data.get("component") or item.text)


def _main_series(evidence: Sequence[Evidence]) -> Iterator[Finding]:
    for item in _done(evidence, "promql"):
        series: list[Mapping[str, Any]] = [s for s in item.data.get("series", []) if s["value"] > 0]
        total = sum(s["value"] for s in series)
        if not series or total <= 0 or not series[0]["labels"]:
            continue
        top = max(series, key=lambda s: s["value"])
        share = top["value"] / total
        if share >= DOMINANT_SHARE:
            labels = ", ".join(f"{name}={value}" for name, value in sorted(top["labels"].items()))
            yield Finding(
                claim=f"{item.step_title} (step {item.step_number}): {share:.0%} comes from {labels}.",
                confidence=Confidence.MEASURED,
                component=top["labels"].get("route"),
                cites=(item.id,),
            )


def _main_log_event(evidence: Sequence[Evidence]) -> Iterator[Finding]:
    for item in _done(evidence, "log"):
        counts = Counter({str(k): int(v) for k, v in item.data.get("events", {}).items()})
        if not counts:
            continue
        event, count = counts.most_common(1)[0]
        total = counts.total()
        if count / total >= DOMINANT_SHARE:
            yield Finding(
                claim=f"{count} of the last {total} error lines say '{event}'.",
                confidence=Confidence.MEASURED,
                component=None,
                cites=(item.id,),
            )


def _threshold(evidence: Sequence[Evidence]) -> Iterator[Finding]:
    for item in _done(evidence, "promql"):
        if item.judgement is Judgement.BAD and item.data.get("threshold"):
            yield Finding(
                claim=f"The runbook's threshold is passed: {item.verdict}.",
                confidence=Confidence.MEASURED,
                component=None,
                cites=(item.id,),
            )


def _missing(evidence: Sequence[Evidence]) -> Iterator[Finding]:
    lost = [item for item in evidence if item.outcome in {Outcome.ERROR, Outcome.TIMEOUT}]
    if lost:
        steps = ", ".join(f"{item.step_number} ({item.verdict})" for item in lost)
        yield Finding(
            claim=f"Evidence is missing, so this picture is not whole: step {steps}.",
            confidence=Confidence.POSSIBLE,
            component=None,
            cites=tuple(item.id for item in lost),
        )
