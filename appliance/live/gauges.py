"""Gauges of what there is at the moment, brought up to date whenever somebody asks."""

from __future__ import annotations

from collections import Counter

from appliance.access.expiry import expiries
from appliance.access.tls import TlsFiles
from appliance.inference.serving import DeviceState
from appliance.live.services import Services
from breathhold.v1 import types_pb2

_STATE_NAMES = {
    types_pb2.SCAN_STATE_RECEIVING: "receiving",
    types_pb2.SCAN_STATE_COMPLETING: "completing",
    types_pb2.SCAN_STATE_REPORTED: "reported",
    types_pb2.SCAN_STATE_ABANDONED: "abandoned",
    types_pb2.SCAN_STATE_FAILED: "failed",
}


def show_gauges(services: Services, ready: bool, tls: TlsFiles | None) -> None:
    """Set the gauges of :class:`appliance.metrics.Metrics`."""
    metrics, devices = services.metrics, services.devices
    metrics.ready.set(ready)
    metrics.show_engines(devices.serving.engines.values(), devices.shelf.finishing)
    if tls:
        metrics.show_certificates(expiries(tls.current))
    metrics.queue_depth.set(len(services.queue))
    metrics.in_hand_bytes.set(services.intake.bytes_in_hand)
    metrics.pixel_cache_bytes.set(services.planes.bytes_used)
    metrics.device_pixel_cache_bytes.set(services.planes.device_bytes_used)
    counts = Counter(device.state for device in devices.devices)
    for state in DeviceState:
        metrics.devices.labels(state.value).set(counts[state])
    lines = [*services.board.in_progress(), *services.board.ended()]
    states = Counter(line.state for line in lines)
    for value, name in _STATE_NAMES.items():
        metrics.scans.labels(name).set(states[value])
