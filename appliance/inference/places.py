"""A device with what it has of each edition, and its worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from appliance.inference.devices import Device, Loaded
from appliance.inference.editions import Edition
from appliance.inference.serving import DeviceState, DeviceStatus
from appliance.inference.worker import InferenceWorker
from appliance.scan.verdicts import Notice, NoticeReason


@dataclass(slots=True, eq=False)
class Place:
    """A device, its state, its warm engines by edition while it serves, and its worker."""

    device: Device
    state: DeviceState = DeviceState.LOADING
    warm: dict[Edition, Loaded] = field(default_factory=dict)
    worker: InferenceWorker | None = None
    reason: str = ""

    @property
    def status(self) -> DeviceStatus:
        words = self.reason
        for loaded in self.warm.values():
            words = next(iter(loaded.engines.values())).device
        return DeviceStatus(self.device.name, self.state, words)


def at_work(places: Sequence[Place]) -> list[Place]:
    """Those that are not lost."""
    return [place for place in places if place.state is not DeviceState.LOST]


def loss_notice(lost: str, successors: str) -> Notice:
    since = f"comes from {successors}" if successors else "waits for a restart"
    return Notice(
        NoticeReason.DEVICE_LOST,
        f"The inference device {lost} was lost; what was inferred since then {since}.",
    )
