"""ModelService: which models serve, how well they were measured, and others in their place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

import grpc
from google.protobuf.message import Message

from appliance.access.audit import Event, Outcome
from appliance.access.roles import caller
from appliance.live.errors import ScanError
from appliance.live.models import VersionChange
from appliance.live.services import Services
from appliance.live.wire import device_message, model_reference, section_message
from appliance.scan.stack import Section
from appliance.serve.fields import check_names
from appliance.serve.status import abort
from breathhold.v1 import model_pb2 as pb
from breathhold.v1 import model_pb2_grpc
from engines.artefacts import Calibration
from engines.warm_up import Engine

logger = logging.getLogger(__name__)

_Changes = Coroutine[Any, Any, list[VersionChange]]


class ModelService(model_pb2_grpc.ModelServiceServicer):
    """The engines that serve now, each of which has answered a checked warm-up, and where."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._changing: set[asyncio.Task[list[VersionChange]]] = set()

    async def ListModels(  # noqa: N802
        self,
        request: pb.ListModelsRequest,
        context: grpc.aio.ServicerContext[pb.ListModelsRequest, pb.ListModelsResponse],
    ) -> pb.ListModelsResponse:
        devices = self._services.devices
        return pb.ListModelsResponse(
            models=await asyncio.to_thread(self._models, devices.serving.engines.values()),
            devices=map(device_message, devices.devices),
            finishing=await asyncio.to_thread(self._models, devices.shelf.finishing),
        )

    async def UseModel(  # noqa: N802
        self,
        request: pb.UseModelRequest,
        context: grpc.aio.ServicerContext[pb.UseModelRequest, pb.UseModelResponse],
    ) -> pb.UseModelResponse:
        await _check(request, context)
        asked = self._services.models.use(request.name, request.version)
        return pb.UseModelResponse(changes=await self._changed("UseModel", asked, context))

    async def RollBackModel(  # noqa: N802
        self,
        request: pb.RollBackModelRequest,
        context: grpc.aio.ServicerContext[pb.RollBackModelRequest, pb.RollBackModelResponse],
    ) -> pb.RollBackModelResponse:
        await _check(request, context)
        asked = self._services.models.roll_back(request.name)
        changes = await self._changed("RollBackModel", asked, context)
        return pb.RollBackModelResponse(changes=changes)

    async def ReloadModels(  # noqa: N802
        self,
        request: pb.ReloadModelsRequest,
        context: grpc.aio.ServicerContext[pb.ReloadModelsRequest, pb.ReloadModelsResponse],
    ) -> pb.ReloadModelsResponse:
        changes = await self._changed("ReloadModels", self._services.models.reload(), context)
        return pb.ReloadModelsResponse(changes=changes)

    async def _changed(
        self, method: str, asked: _Changes, context: grpc.aio.ServicerContext[Any, Any]
    ) -> list[pb.ModelChange]:
        """What an operator asked for; goes on, and is written down, if the caller goes away."""
        change = asyncio.create_task(self._written_down(method, asked))
        self._changing.add(change)
        change.add_done_callback(self._forget)
        try:
            changes = await asyncio.shield(change)
        except ScanError as error:
            await abort(context, error)
        return [
            pb.ModelChange(name=one.name, from_version=one.before, version=one.version)
            for one in changes
        ]

    def _forget(self, change: asyncio.Task[list[VersionChange]]) -> None:
        self._changing.discard(change)
        if not change.cancelled():
            change.exception()  # its caller may be gone; the log has it

    async def _written_down(self, method: str, asked: _Changes) -> list[VersionChange]:
        try:
            changes = await asked
        except ScanError as error:
            self._note(method, f"{error.reason}: {error}", Outcome.MINOR_FAILURE)
            raise
        words = "; ".join(map(str, changes)) or "the same models serve"
        self._note(method, words, Outcome.SUCCESS)
        return changes

    def _note(self, method: str, what: str, outcome: Outcome) -> None:
        who = caller()
        logger.info("%s, asked for by %s: %s", method, who.name or "a caller", what)
        self._services.trail.note(
            Event.MODELS_CHANGED,
            who=who.name,
            address=who.address,
            method=f"/breathhold.v1.ModelService/{method}",
            outcome=outcome,
            why=what,
        )

    def _models(self, engines: Iterable[Engine]) -> Sequence[pb.Model]:
        return [self._model(engine) for engine in engines]

    def _model(self, engine: Engine) -> pb.Model:
        name, artefact, served = engine.spec.name, engine.artefact, self._services.models
        choice = served.choices.get(name)
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
            versions=served.versions(name),
            chosen=choice is not None and choice.version == engine.spec.version,
        )


async def _check(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> None:
    try:
        check_names(request)
    except ScanError as error:
        await abort(context, error)


def _calibration(calibration: Calibration | None) -> str:
    """How an artefact was calibrated, in words; empty where it was not."""
    if calibration is None:
        return ""
    kept = f", kept in fp32: {', '.join(calibration.kept)}" if calibration.kept else ""
    return f"{calibration.method} on {', '.join(calibration.cases)}{kept}"
