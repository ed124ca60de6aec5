"""What sends spans to a collector. Only `core.spans` loads it, and only where a collector is named: the SDK is an
extra (`otel`)."""

import os
import socket

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from app import __version__

_TIMEOUT_S = 5.0  # a collector that does not take a batch by then loses it; the end of the process waits no longer


def provider(endpoint: str, sampled: float) -> TracerProvider:
    """Sends batches from a thread of its own to `endpoint`/v1/traces. `OTEL_RESOURCE_ATTRIBUTES` and the like hold."""
    ours = Resource(
        {
            "service.name": "assay",
            "service.version": __version__,
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        }
    )
    made = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(sampled)),
        resource=ours.merge(OTELResourceDetector().detect()),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_TIMEOUT_S)
    made.add_span_processor(BatchSpanProcessor(exporter))
    return made
