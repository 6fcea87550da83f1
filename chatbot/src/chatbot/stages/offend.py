"""Failed attempt → a count, under its address only where that address fails often: the series stay bounded."""

from __future__ import annotations

from chatbot.core.client_address import limited_as, parse_address
from chatbot.stages.ports import Outside
from chatbot.telemetry import ADDRESS_LABELS, AUTH_ATTEMPTS, OTHER_IP


def count_failure(outside: Outside, *, tenant_label: str, ip: str | None) -> None:
    """Counts it in the sketch and in the metric. Series of addresses that are no longer heavy are removed."""
    address = parse_address(ip) if ip else None
    if address is None:
        AUTH_ATTEMPTS.labels(status="failed", tenant_id=tenant_label, ip=OTHER_IP).inc()
        return
    name = limited_as(address)
    outside.offenders.note(name, outside.clocks.monotonic())
    ADDRESS_LABELS.keep(outside.offenders.heavy())
    label = name if ADDRESS_LABELS.take(name, tenant_label) else OTHER_IP
    AUTH_ATTEMPTS.labels(status="failed", tenant_id=tenant_label, ip=label).inc()
