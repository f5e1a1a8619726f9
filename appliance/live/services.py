"""What every scan in progress works with; made once by the daemon."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field

from appliance.access.audit import AuditTrail
from appliance.followup.follow_ups import FollowUps
from appliance.inference.planes import PlaneStore
from appliance.inference.pool import DevicePool
from appliance.inference.tasks import TaskQueue
from appliance.live.board import Board
from appliance.live.intake import Intake
from appliance.live.models import ServedModels
from appliance.live.reading import SliceReader
from appliance.live.saving import ReportSaving
from appliance.metrics import Metrics
from appliance.quantify.norms import NO_NORMS, Norms
from appliance.scan.scan import ScanPolicy
from appliance.storage.results import ResultsStore
from appliance.storage.spool import Spool


@dataclass(frozen=True, slots=True)
class Services:
    """The rooms around the scans in progress.

    Parameters
    ----------
    devices
        What infers.
    models
        Which versions of the models do.
    decoders
        Where bytes become HU, by the reader.
    trail
        Who did what.
    saving
        By which reports get into the results.
    policy
        But for the shapes of slabs, which each scan has of its edition.
    norms
        What scans are measured against.
    intake
        How much of their slices may be in memory.
    """

    spool: Spool
    results: ResultsStore
    follow_ups: FollowUps
    queue: TaskQueue
    devices: DevicePool
    models: ServedModels
    planes: PlaneStore
    decoders: Executor
    board: Board
    metrics: Metrics
    trail: AuditTrail
    policy: ScanPolicy
    reader: SliceReader
    norms: Norms = NO_NORMS
    saving: ReportSaving = field(default_factory=ReportSaving)
    intake: Intake = field(default_factory=Intake)
