"""Every metric of the appliance, named in one place.

Prefix ``breathhold_``, seconds and bytes, labels with a fixed set of values
only, and never anything of a patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from engines.warm_up import Engine

_FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_SLOW_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The metrics of one daemon, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.slices_received = self._counter("slices_received", "Slices accepted and kept")
        self.slices_duplicate = self._counter("slices_duplicate", "Slices kept before")
        self.slices_refused = self._counter("slices_refused", "Slices refused", ["reason"])
        self.bytes_received = self._counter("received_bytes", "Bytes of slices received")
        self.scans_reported = self._counter(
            "scans_reported", "Scans that ended with a report", ["completed_by"]
        )
        self.inference_failures = self._counter(
            "inference_failures", "Slabs that could not be inferred"
        )
        self.scans = Gauge("breathhold_scans", "Scans by state", ["state"], registry=self.registry)
        self.devices = Gauge(
            "breathhold_devices",
            "Devices that infer, by state",
            ["state"],
            registry=self.registry,
        )
        self._engines = Gauge(
            "breathhold_engine_info",
            "1 for each model, with the version, precision and runtime that serve new scans",
            ["model", "version", "precision", "runtime"],
            registry=self.registry,
        )
        self._finishing = Gauge(
            "breathhold_engine_finishing_info",
            "1 for each version of a model that only scans in progress still use",
            ["model", "version", "precision", "runtime"],
            registry=self.registry,
        )
        self._slab_seconds_timed = Gauge(
            "breathhold_slab_seconds_timed",
            "Inference, a slab, in each precision that was timed before one was chosen",
            ["model", "precision"],
            registry=self.registry,
        )
        self.audit_failures = self._counter(
            "audit_failures", "Events that could not be written into the audit trail"
        )
        self.audit_dropped = self._counter(
            "audit_files_dropped_early", "Files of the audit trail dropped before audit.keep_days"
        )
        self.logs_set_aside = self._counter(
            "logs_set_aside", "Logs of scans that were damaged on the disk and set aside"
        )
        self.queue_depth = self._gauge("queue_depth", "Slabs that wait for inference")
        self.in_hand_bytes = self._gauge("in_hand_bytes", "Bytes of slices read and not answered")
        self.spool_bytes = self._gauge("spool_bytes", "Bytes in the spool")
        self.free_bytes = self._gauge("free_bytes", "Bytes free on the disk of the spool")
        self.tight_bytes = self._gauge(
            "tight_bytes", "With fewer bytes free, slices of reported scans go before their time"
        )
        self.full_bytes = self._gauge("full_bytes", "With fewer bytes free, new scans are refused")
        self.set_aside = Gauge(
            "breathhold_set_aside",
            "Damaged logs and files in the state folder, for an operator to look at",
            ["what"],
            registry=self.registry,
        )
        self._certificates = Gauge(
            "breathhold_certificate_not_after_timestamp_seconds",
            "When the first certificate of a TLS file expires, s since the epoch",
            ["file"],
            registry=self.registry,
        )
        self.pixel_cache_bytes = self._gauge("pixel_cache_bytes", "Bytes of pixels in memory")
        self.device_pixel_cache_bytes = self._gauge(
            "device_pixel_cache_bytes", "Bytes of pixels in the memory of all GPUs; 0 without one"
        )
        self.ready = self._gauge("ready", "1 when every engine is warm and scans are served")
        self.decode_seconds = self._histogram("decode_seconds", "Bytes to HU, a slice", _FAST_S)
        self.ack_seconds = self._histogram(
            "ack_seconds", "A slice read to its acknowledgement sent", _FAST_S
        )
        self.slab_seconds = self._histogram("slab_seconds", "Inference, a slab", _FAST_S)
        self.slice_to_mask_seconds = self._histogram(
            "slice_to_mask_seconds", "A slice read to its first mask ready", _SLOW_S
        )
        self.last_slice_to_report_seconds = self._histogram(
            "last_slice_to_report_seconds", "The last slice read to the report ready", _SLOW_S
        )

    def show_engines(self, engines: Iterable[Engine], finishing: Iterable[Engine] = ()) -> None:
        """Set the gauges of the engines that serve new scans, and of those that only finish."""
        for gauge in (self._engines, self._finishing, self._slab_seconds_timed):
            gauge.clear()
        for engine in finishing:
            self._finishing.labels(*_labels(engine)).set(1)
        for engine in engines:
            name = engine.spec.name
            self._engines.labels(*_labels(engine)).set(1)
            for precision, seconds in engine.seconds_per_slab.items():
                self._slab_seconds_timed.labels(name, precision).set(seconds)

    def show_certificates(self, expiries: Mapping[str, float]) -> None:
        """Set when the TLS files that are in use expire, s since the epoch."""
        self._certificates.clear()
        for file, moment in expiries.items():
            self._certificates.labels(file).set(moment)

    def _counter(self, name: str, text: str, labels: list[str] | None = None) -> Counter:
        return Counter(f"breathhold_{name}", text, labels or [], registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"breathhold_{name}", text, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"breathhold_{name}", text, buckets=buckets, registry=self.registry)


def _labels(engine: Engine) -> tuple[str, str, str, str]:
    spec = engine.spec
    return spec.name, str(spec.version), engine.artefact.precision, engine.runtime
