"""What every scan in progress works with; made once by the daemon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from appliance.inference.planes import PlaneStore
from appliance.inference.queue import InferenceQueue
from appliance.ingest import IngestLimits
from appliance.live.board import Board
from appliance.metrics import Metrics
from appliance.scan.scan import ScanPolicy
from appliance.scan.stack import Section
from appliance.storage.results import ResultsStore
from appliance.storage.spool import Spool
from engines.warm_up import Engine


@dataclass(frozen=True, slots=True)
class Services:
    """The rooms around the scans in progress.

    Parameters
    ----------
    decoders
        Where bytes become HU.
    engines_for
        The engines by role ("lung", "lesion") that serve a section.
    """

    spool: Spool
    results: ResultsStore
    queue: InferenceQueue
    planes: PlaneStore
    decoders: Executor
    board: Board
    metrics: Metrics
    policy: ScanPolicy
    limits: IngestLimits
    engines_for: Callable[[Section], Mapping[str, Engine]]
