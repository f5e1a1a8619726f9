"""Lets a request for a page in when its caller may see the page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from appliance.access.audit import AuditTrail, Event, Outcome
from appliance.access.roles import ALL_ROLES, Caller, Role, identify
from appliance.config import AccessConfig
from appliance.serve.record import write_down

#: Roles that may see a page.
ROLES_OF_PAGE: Mapping[str, frozenset[Role]] = {
    "/": frozenset({Role.DASHBOARD}),
    "/triage.json": frozenset({Role.DASHBOARD}),
    "/metrics": frozenset({Role.OPERATOR, Role.MONITOR}),
    "/healthz": ALL_ROLES,
}
_CN = "commonName"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PageGuard:
    """Knows callers by their certificates and asks whether they may.

    Parameters
    ----------
    access
        Who may do what.
    identified
        Whether callers have certificates; without, all may do all.
    trail
        What they did is written there.
    """

    def __init__(self, access: AccessConfig, identified: bool, trail: AuditTrail) -> None:
        self._access, self._identified, self._trail = access, identified, trail

    def middleware(self) -> Any:
        """For the application that has the pages."""

        @web.middleware
        async def guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
            caller = self._caller_of(request)
            roles = ROLES_OF_PAGE.get(request.path, ALL_ROLES)
            if not caller.has_one(roles):
                denied = Outcome.MINOR_FAILURE, "not allowed"
                write_down(self._trail, Event.DENIED, caller, request.path, *denied)
                return web.Response(status=403, text="a certificate with another role is needed\n")
            if request.path == "/triage.json":
                write_down(self._trail, Event.ASKED, caller, request.path)
            return await handler(request)

        return guarded

    def _caller_of(self, request: web.Request) -> Caller:
        address = request.remote or ""
        if not self._identified:
            return Caller(address=address)
        peer = request.get_extra_info("peercert") or {}
        names = [value for part in peer.get("subject", ()) for key, value in part if key == _CN]
        names += [value for _, value in peer.get("subjectAltName", ())]
        return identify(names, self._access, address)
