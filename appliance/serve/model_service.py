"""ModelService: which models serve, and how well they were measured."""

from __future__ import annotations

from collections.abc import Iterable

import grpc

from appliance.live.wire import model_reference, section_message
from appliance.scan.stack import Section
from breathhold.v1 import model_pb2 as pb
from breathhold.v1 import model_pb2_grpc
from engines.warm_up import Engine


class ModelService(model_pb2_grpc.ModelServiceServicer):
    """The engines of this daemon; each has answered a checked warm-up."""

    def __init__(self, engines: Iterable[Engine]) -> None:
        self._models = [_model(engine) for engine in engines]

    async def ListModels(  # noqa: N802
        self,
        request: pb.ListModelsRequest,
        context: grpc.aio.ServicerContext[pb.ListModelsRequest, pb.ListModelsResponse],
    ) -> pb.ListModelsResponse:
        return pb.ListModelsResponse(models=self._models)


def _model(engine: Engine) -> pb.Model:
    return pb.Model(
        reference=model_reference(engine),
        role=engine.spec.role,
        sections=[section_message(Section(section)) for section in engine.spec.sections],
        runtime=engine.runtime,
        device=engine.device,
        warm=True,
        accuracy=dict(engine.spec.accuracy),
    )
