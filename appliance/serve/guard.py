"""Lets a call in when its caller may make it, and writes down that it did."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from aiohttp import web

from appliance.access.audit import AuditTrail, Event, Outcome
from appliance.access.roles import ALL_ROLES, Caller, Role, answer_for, identify
from appliance.config import AccessConfig
from appliance.live.errors import not_allowed
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
#: Roles that may see a page.
ROLES_OF_PAGE: Mapping[str, frozenset[Role]] = {
    "/": frozenset({Role.DASHBOARD}),
    "/triage.json": frozenset({Role.DASHBOARD}),
    "/metrics": frozenset({Role.OPERATOR, Role.MONITOR}),
    "/healthz": ALL_ROLES,
}
_FAULTS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)
_OURS = "/breathhold.v1."
if TYPE_CHECKING:
    _Context = grpc.aio.ServicerContext[Any, Any]
    _Method = grpc.RpcMethodHandler[Any, Any]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class CallRecord:
    """What a service knows of the scan that a call is about, for the audit trail."""

    scan_id: str = ""
    uids: dict[str, str] = field(default_factory=dict)


_CALL: ContextVar[CallRecord] = ContextVar("call")


def call_record() -> CallRecord:
    """Of the call that is being answered; what is said of it outside a call is lost."""
    return _CALL.get(CallRecord())


class CallerStalledError(asyncio.CancelledError):
    """A caller reads nothing; no status either, which would wait behind what it does not read."""


class Guard(grpc.aio.ServerInterceptor):
    """Knows callers by their certificates and asks whether they may.

    Parameters
    ----------
    access
        Who may do what.
    identified
        Whether callers have certificates; without, all may do all.
    trail
        What they did is written there.
    stalled_s
        A caller that reads nothing for so long is given up, s.
    """

    def __init__(
        self, access: AccessConfig, identified: bool, trail: AuditTrail, stalled_s: float = 60.0
    ) -> None:
        self._access, self._identified, self._trail = access, identified, trail
        self._stalled_s = stalled_s

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Method | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Method | None:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None  # no such method, which gRPC says itself
        return self._guarded(handler_call_details.method, handler)

    def _guarded(self, method: str, handler: _Method) -> _Method:
        parts = handler.request_deserializer, handler.response_serializer
        if handler.request_streaming and handler.response_streaming:
            streamed = self._streaming(method, handler.stream_stream)
            return grpc.stream_stream_rpc_method_handler(streamed, *parts)
        if handler.response_streaming:
            streamed = self._streaming(method, handler.unary_stream)
            return grpc.unary_stream_rpc_method_handler(streamed, *parts)
        if handler.request_streaming:
            single = self._single(method, handler.stream_unary)
            return grpc.stream_unary_rpc_method_handler(single, *parts)
        single = self._single(method, handler.unary_unary)
        return grpc.unary_unary_rpc_method_handler(single, *parts)

    def _single(self, method: str, answer: Any) -> Any:
        async def guarded(request: Any, context: _Context) -> Any:
            async with self._call(method, context):
                return await answer(request, context)

        return guarded

    def _streaming(self, method: str, answer: Any) -> Any:
        async def guarded(request: Any, context: _Context) -> None:
            async with self._call(method, context):
                answering = answer(request, context)
                if not inspect.isasyncgen(answering):
                    await answering
                    return
                async with contextlib.aclosing(answering):
                    async for response in answering:
                        await self._write(response, context)

        return guarded

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
        answer_for(caller)
        _CALL.set(CallRecord())
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
        call = call_record()
        self._trail.note(
            event,
            who=caller.name,
            address=caller.address,
            method=method,
            outcome=outcome,
            why=why,
            scan_id=call.scan_id,
            uids=call.uids,
        )

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

    # -- HTTP

    def middleware(self) -> Any:
        """The same for the pages of the HTTP side."""

        @web.middleware
        async def guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
            caller = self._caller_of_page(request)
            roles = ROLES_OF_PAGE.get(request.path, ALL_ROLES)
            if not caller.has_one(roles):
                self._note(Event.DENIED, caller, request.path, Outcome.MINOR_FAILURE, "not allowed")
                return web.Response(status=403, text="a certificate with another role is needed\n")
            if request.path == "/triage.json":
                self._note(Event.ASKED, caller, request.path)
            return await handler(request)

        return guarded

    def _caller_of_page(self, request: web.Request) -> Caller:
        address = request.remote or ""
        if not self._identified:
            return Caller(address=address)
        peer = request.get_extra_info("peercert") or {}
        names = [value for part in peer.get("subject", ()) for key, value in part if key == _CN]
        names += [value for _, value in peer.get("subjectAltName", ())]
        return identify(names, self._access, address)


_CN = "commonName"


def _name(code: Any) -> str:
    return code.name if isinstance(code, grpc.StatusCode) else str(code)
