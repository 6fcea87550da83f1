"""OpenTelemetry by OTLP over HTTP. Imported only where an endpoint is set: its SDK is nothing that others should carry."""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

SERVICE = "bitb-chatbot"
_SECONDS = 5


def new_provider(endpoint: str) -> TracerProvider:
    """Sends spans to `endpoint`/v1/traces, in batches, from a thread of its own. Shut it down at the end."""
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_SECONDS)
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: SERVICE}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
