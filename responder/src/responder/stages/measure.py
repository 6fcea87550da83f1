"""How each kind of step is measured and judged, by the investigation and again before an incident may be resolved."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from responder.core.evidence import Judgement, Measurement, Outcome, Verdict
from responder.core.source import Sample, fields_of
from responder.errors import SourceRefused
from responder.runbooks.plan import judge_value
from responder.stages.ports import Outside

# What is kept of a source's answer: enough to read, little enough to load on a phone.
OUTPUT_LIMIT = 8_000
SERIES_LIMIT = 50


async def take(outside: Outside, kind: str, probe: Mapping[str, Any], *, limit: timedelta) -> Measurement:
    """One measurement. Raises SourceError when the source fails."""
    match kind:
        case "promql":
            return judge_samples(
                await outside.metrics.query(outside.policies.bindings.promql(probe["query"]), timeout=limit),
                probe,
            )
        case "http":
            return await _http(outside, probe, limit=limit)
        case "log":
            return await _log(outside, probe)
        case "sql":
            return await _sql(outside, probe, limit=limit)
        case _:
            raise SourceRefused(f"a step of kind '{kind}' cannot be measured by this version")


def judge_samples(samples: Sequence[Sample], probe: Mapping[str, Any]) -> Measurement:
    """The verdict on a query's result, against the runbook's own threshold where the query measures that."""
    ranked = sorted(samples, key=lambda sample: sample.value, reverse=True)
    rows = [{"labels": dict(sample.labels), "value": sample.value} for sample in ranked[:SERIES_LIMIT]]
    output = "\n".join(f"{_labels(sample.labels)} {sample.value:g}" for sample in ranked[:SERIES_LIMIT])
    threshold = probe.get("threshold")
    data = {"series": rows, "threshold": threshold}
    if not ranked:
        verdict = Verdict(judgement=Judgement.UNKNOWN, text="no data: nothing matches, or nothing happened")
        return Measurement(outcome=Outcome.EMPTY, verdict=verdict, output="", data=data)
    neutral = Verdict(judgement=Judgement.NEUTRAL, text=_top(ranked))
    verdict = judge_value(ranked[0].value, threshold) if threshold else neutral
    return Measurement(outcome=Outcome.OK, verdict=verdict, output=output, data=data)


def _top(ranked: Sequence[Sample]) -> str:
    moving = [sample for sample in ranked if sample.value > 0]
    if not moving:
        return f"{len(ranked)} series, all at 0"
    more = f", {len(moving) - 1} more" if len(moving) > 1 else ""
    return f"{_labels(moving[0].labels) or 'value'} {moving[0].value:.3g}{more}"


def _labels(labels: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name != "__name__")


async def _http(outside: Outside, probe: Mapping[str, Any], *, limit: timedelta) -> Measurement:
    url = outside.policies.bindings.url(probe["url"])
    headers = {
        name: outside.policies.bindings.header(value) for name, value in probe.get("headers", {}).items()
    }
    answer = await outside.http.read(url, headers=headers, timeout=limit)
    component = outside.policies.bindings.show(probe["component"])
    body = fields_of(answer.body)
    said, reason = body.get("status"), body.get("reason")
    well = answer.status < 400 and said in {None, "ok"}
    words = f"{component} {said or 'answers'} ({answer.status}, {answer.seconds * 1000:.0f} ms)"
    text = words if well or not reason else f"{words}: {str(reason)[:120]}"
    return Measurement(
        outcome=Outcome.OK,
        verdict=Verdict(
            judgement=Judgement.GOOD if well else Judgement.BAD, text=outside.policies.bindings.redact(text)
        ),
        output=outside.policies.bindings.redact(answer.text)[:OUTPUT_LIMIT],
        data={"component": component, "status": answer.status, "said": said},
    )


async def _log(outside: Outside, probe: Mapping[str, Any]) -> Measurement:
    lines = await outside.logs.tail(probe["path"], pattern=probe["pattern"], lines=probe["lines"])
    events = Counter(_event(line) for line in lines)
    output = outside.policies.bindings.redact("\n".join(lines[-40:]))[-OUTPUT_LIMIT:]
    data = {"events": dict(events.most_common(10)), "lines": len(lines)}
    if not lines:
        verdict = Verdict(judgement=Judgement.GOOD, text="no matching line")
        return Measurement(outcome=Outcome.EMPTY, verdict=verdict, output="", data=data)
    event, count = events.most_common(1)[0]
    text = f"{len(lines)} matching lines, {count} × {event}"
    verdict = Verdict(judgement=Judgement.NEUTRAL, text=outside.policies.bindings.redact(text))
    return Measurement(outcome=Outcome.OK, verdict=verdict, output=output, data=data)


async def _sql(outside: Outside, probe: Mapping[str, Any], *, limit: timedelta) -> Measurement:
    text, values = outside.policies.bindings.parameters(probe["sql"])
    table = await outside.target.query(text, values, timeout=limit)
    output = outside.policies.bindings.redact(table.text())[:OUTPUT_LIMIT]
    data = {
        "columns": list(table.columns),
        "rows": len(table.rows),
        "cut": table.cut,
        "threshold": probe["threshold"],
    }
    if not table.rows:
        verdict = Verdict(judgement=Judgement.NEUTRAL, text="no rows")
        return Measurement(outcome=Outcome.EMPTY, verdict=verdict, output=output, data=data)
    first = table.rows[0]
    if (
        probe["threshold"]
        and len(table.rows) == len(first) == 1
        and (number := _number(first[0])) is not None
    ):
        verdict = judge_value(number, probe["threshold"])
        return Measurement(outcome=Outcome.OK, verdict=verdict, output=output, data=data)
    shown = ", ".join(f"{name} {cell or '-'}" for name, cell in zip(table.columns, first, strict=True))
    rows = "" if len(table.rows) == 1 else f"{len(table.rows)}{'+' if table.cut else ''} rows, first: "
    text = outside.policies.bindings.redact(f"{rows}{shown}")[:200]
    verdict = Verdict(judgement=Judgement.NEUTRAL, text=text)
    return Measurement(outcome=Outcome.OK, verdict=verdict, output=output, data=data)


def _number(cell: str | None) -> float | None:
    try:
        return float(cell or "")
    except ValueError:
        return None


def _event(line: str) -> str:
    """The event's name of a JSON line; of any other line its first words, without the numbers that make it unique."""
    try:
        parsed: Any = json.loads(line)
    except json.JSONDecodeError:
        return (
            " ".join(word for word in line.split() if not any(c.isdigit() for c in word))[:60] or "(no words)"
        )
    fields = fields_of(parsed)
    return str(fields.get("event") or fields.get("message") or fields.get("msg") or "(no event)")[:60]
