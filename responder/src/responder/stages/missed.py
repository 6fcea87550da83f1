"""An alert that fires here → whether Prometheus has let it go without our being told.

Alertmanager does not tell of the end of an alert that is inhibited or silenced at that moment, and a notice can be lost:
an incident that waited for it would stay open for good. This never guesses: without proof the alert counts as firing.
"""

from __future__ import annotations

from datetime import timedelta

from responder.core.alert import Alert
from responder.errors import SourceError
from responder.stages.ports import Outside

LIMIT = timedelta(seconds=5)
# Further back Prometheus is not asked for the proof that it knew the alert.
LONGEST = timedelta(hours=24)


async def has_ended(outside: Outside, alert: Alert, *, quiet_for: timedelta) -> bool:
    """True when Prometheus has run for `quiet_for`, has had the alert firing before, and in no state since.

    False when it does not answer, has just started, or never had this alert: another one may hold its rule.
    """
    now = outside.clock.now()
    since_start = min(LONGEST, max(quiet_for, now - alert.starts_at) + quiet_for)
    try:
        up_since = await outside.metrics.running_since(timeout=LIMIT)
        if now - up_since < quiet_for:
            return False
        return (
            await _seen(outside, alert, "firing", within=since_start)
            and not await _seen(outside, alert, "firing", within=quiet_for)
            and not await _seen(outside, alert, "pending", within=quiet_for)
        )
    except SourceError:
        return False


async def _seen(outside: Outside, alert: Alert, state: str, *, within: timedelta) -> bool:
    milliseconds = int(within.total_seconds() * 1000)
    selector = f'ALERTS{{alertname="{alert.name}",alertstate="{state}"}}'
    samples = await outside.metrics.query(f"count_over_time({selector}[{milliseconds}ms])", timeout=LIMIT)
    # What Alertmanager hands on has more labels, those of the whole Prometheus; the series has its state.
    told = {*alert.labels.items(), ("alertstate", state)}
    return any(set(sample.labels.items()) <= told for sample in samples)
