"""Lets a call in when its caller may make it, and writes down that it did."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError

from appliance.access.audit import AuditTrail, Event, Outcome
from appliance.access.roles import Caller, answer_for, identify
from appliance.config import AccessConfig, ServerConfig
from appliance.live.errors import ScanError, not_allowed
from appliance.serve.places import Places
from appliance.serve.record import begin_record, write_down
from appliance.serve.refusals import no_request, not_understood, request_late
from appliance.serve.status import abort

logger = logging.getLogger(__name__)

#: What the trail says of a call, by method; of others (health, reflection) it says nothing.
_EVENTS = {
    "Stream": Event.RECEIVED,
    "GetReport": Event.READ,
    "GetMasks": Event.READ,
    "GetCourse": Event.READ,
    "Watch": Event.ASKED,
    "ListScans": Event.ASKED,
    "ListModels": Event.ASKED,
}
#: Calls that last as long as the caller likes; they are written down as they begin.
_LASTING = ("Watch",)
_FAULTS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)
_OURS = "/breathhold.v1."
if TYPE_CHECKING:
    _Context = grpc.aio.ServicerContext[Any, Any]
    _Method = grpc.RpcMethodHandler[Any, Any]


class CallerStalledError(asyncio.CancelledError):
    """A caller reads nothing; no status either, which would wait behind what it does not read."""


class Guard(grpc.aio.ServerInterceptor):
    """Knows callers by their certificates, asks whether they may, and gives each its places.

    Every call is conducted as a stream in both directions, whatever its method is: a request that
    does not come, and an answer that nobody reads, end it.

    Parameters
    ----------
    access
        Who may do what.
    identified
        Whether callers have certificates; without, all may do all.
    trail
        What they did is written there.
    config
        How many calls at once, and how long a caller may keep one waiting.
    """

    def __init__(
        self, access: AccessConfig, identified: bool, trail: AuditTrail, config: ServerConfig
    ) -> None:
        self._access, self._identified, self._trail = access, identified, trail
        self._request_s, self._stalled_s = config.request_s, config.stalled_s
        self._places = Places(config.max_calls, config.max_calls_each)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Method | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Method | None:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None  # no such method, which gRPC says itself
        return grpc.stream_stream_rpc_method_handler(
            self._guarded(handler_call_details.method, handler),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _guarded(self, method: str, handler: _Method) -> Any:
        async def guarded(requests: AsyncIterator[Any], context: _Context) -> None:
            async with self._call(method, context):
                try:
                    first = await self._first(requests)
                except ScanError as error:
                    await abort(context, error)
                given = _understood(first, requests) if handler.request_streaming else first
                del first
                answering = _answer_of(handler)(given, context)
                if not inspect.isasyncgen(answering):
                    await self._write(await answering, context)
                    return
                async with contextlib.aclosing(answering):
                    async for response in answering:
                        await self._write(response, context)

        return guarded

    async def _first(self, requests: AsyncIterator[Any]) -> Any:
        try:
            async with asyncio.timeout(self._request_s):
                return await anext(requests)
        except TimeoutError:
            raise request_late(self._request_s) from None
        except StopAsyncIteration:
            raise no_request() from None
        except DecodeError:
            raise not_understood() from None

    async def _write(self, response: Any, context: _Context) -> None:
        try:
            async with asyncio.timeout(self._stalled_s):
                await context.write(response)
        except TimeoutError:
            logger.warning("a caller read nothing for %g s and is given up", self._stalled_s)
            raise CallerStalledError from None

    @contextlib.asynccontextmanager
    async def _call(self, method: str, context: _Context) -> AsyncIterator[None]:
        """One call: let in or turned away, and written down."""
        caller = self._caller_of(context)
        if not caller.may(method):
            self._note(Event.DENIED, caller, method, Outcome.MINOR_FAILURE, "not allowed")
            await abort(context, not_allowed(caller.name, method))
        with contextlib.ExitStack() as place:
            try:
                place.enter_context(self._places.one(caller, method))
            except ScanError as error:
                await abort(context, error)
            answer_for(caller)
            begin_record()
            async with self._in_trail(caller, method, context):
                yield

    @contextlib.asynccontextmanager
    async def _in_trail(
        self, caller: Caller, method: str, context: _Context
    ) -> AsyncIterator[None]:
        event = _EVENTS.get(method.rpartition("/")[2]) if method.startswith(_OURS) else None
        if event is None:
            yield
        elif method.endswith(_LASTING):
            self._note(event, caller, method)
            yield
        else:
            async with self._written_down(event, caller, method, context):
                yield

    @contextlib.asynccontextmanager
    async def _written_down(
        self, event: Event, caller: Caller, method: str, context: _Context
    ) -> AsyncIterator[None]:
        try:
            yield
        except asyncio.CancelledError as error:
            stalled = isinstance(error, CallerStalledError)
            why = "the caller reads nothing" if stalled else "the caller went away"
            self._note(event, caller, method, Outcome.MINOR_FAILURE, why)
            raise
        except BaseException:
            set_code: Any = context.code()  # None where nobody set one, whatever the stubs say
            code = set_code or grpc.StatusCode.UNKNOWN
            serious = code in _FAULTS
            outcome = Outcome.SERIOUS_FAILURE if serious else Outcome.MINOR_FAILURE
            self._note(event, caller, method, outcome, _name(code))
            raise
        self._note(event, caller, method)

    def _note(
        self,
        event: Event,
        caller: Caller,
        method: str,
        outcome: Outcome = Outcome.SUCCESS,
        why: str = "",
    ) -> None:
        write_down(self._trail, event, caller, method, outcome, why)

    def _caller_of(self, context: _Context) -> Caller:
        if not self._identified:
            return Caller(address=context.peer())
        attributes = context.auth_context()
        names = [
            name.decode(errors="replace")
            for key in ("x509_common_name", "x509_subject_alternative_name")
            for name in attributes.get(key, ())
        ]
        return identify(names, self._access, context.peer())


def _answer_of(handler: _Method) -> Any:
    """The service's method, of whichever kind it is."""
    if handler.request_streaming:
        return handler.stream_stream if handler.response_streaming else handler.stream_unary
    return handler.unary_stream if handler.response_streaming else handler.unary_unary


async def _understood(first: Any, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """All requests of a call, of which the first is here already."""
    yield first
    del first  # nor the others, while nothing comes
    try:
        async for request in requests:
            yield request
            del request
    except DecodeError:
        raise not_understood() from None


def _name(code: Any) -> str:
    return code.name if isinstance(code, grpc.StatusCode) else str(code)
