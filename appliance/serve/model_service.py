"""ModelService: which models serve, and how well they were measured."""

from __future__ import annotations

import grpc

from appliance.live.services import Services
from appliance.live.wire import device_message, model_reference, section_message
from appliance.scan.stack import Section
from breathhold.v1 import model_pb2 as pb
from breathhold.v1 import model_pb2_grpc
from engines.artefacts import Calibration
from engines.warm_up import Engine


class ModelService(model_pb2_grpc.ModelServiceServicer):
    """The engines that serve now, each of which has answered a checked warm-up, and where."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def ListModels(  # noqa: N802
        self,
        request: pb.ListModelsRequest,
        context: grpc.aio.ServicerContext[pb.ListModelsRequest, pb.ListModelsResponse],
    ) -> pb.ListModelsResponse:
        devices = self._services.devices
        return pb.ListModelsResponse(
            models=map(_model, devices.serving.engines.values()),
            devices=map(device_message, devices.devices),
        )


def _model(engine: Engine) -> pb.Model:
    artefact = engine.artefact
    return pb.Model(
        reference=model_reference(engine),
        role=engine.spec.role,
        sections=[section_message(Section(section)) for section in engine.spec.sections],
        runtime=engine.runtime,
        device=engine.device,
        warm=True,
        calibration=_calibration(artefact.calibration),
        accuracy=dict(engine.spec.accuracy),
        dialect=artefact.dialect,
        gate=dict(artefact.gate.figures) if artefact.gate else {},
        gate_cases=artefact.gate.cases if artefact.gate else (),
        seconds_per_slab=dict(engine.seconds_per_slab),
        chosen_because=engine.because,
    )


def _calibration(calibration: Calibration | None) -> str:
    """How an artefact was calibrated, in words; empty where it was not."""
    if calibration is None:
        return ""
    kept = f", kept in fp32: {', '.join(calibration.kept)}" if calibration.kept else ""
    return f"{calibration.method} on {', '.join(calibration.cases)}{kept}"
