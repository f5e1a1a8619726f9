"""HTTP: Prometheus metrics, health, and the triage page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aiohttp import web
from prometheus_client import exposition

from appliance.live.board import Board
from appliance.metrics import Metrics
from appliance.serve.page_guard import PageGuard
from appliance.serve.triage_lines import TriageLines

_PAGE = Path(__file__).with_name("triage.html")


class HttpSide:
    """The HTTP port.

    Parameters
    ----------
    metrics, board
        What is shown.
    healthy
        Whether scans are served now.
    refresh
        Called before metrics are read, to set the gauges.
    guard
        Lets requests in.
    """

    def __init__(
        self,
        metrics: Metrics,
        board: Board,
        healthy: Callable[[], bool],
        refresh: Callable[[], None],
        guard: PageGuard,
    ) -> None:
        self._metrics, self._lines, self._guard = metrics, TriageLines(board), guard
        self._healthy, self._refresh = healthy, refresh
        self._page = _PAGE.read_text(encoding="utf-8")

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard.middleware()])
        app.add_routes(
            [
                web.get("/", self._triage_page),
                web.get("/triage.json", self._triage),
                web.get("/metrics", self._metrics_text),
                web.get("/healthz", self._health),
            ]
        )
        return app

    async def _triage_page(self, request: web.Request) -> web.Response:
        return web.Response(text=self._page, content_type="text/html")

    async def _triage(self, request: web.Request) -> web.Response:
        return web.Response(body=self._lines.json(), content_type="application/json")

    async def _metrics_text(self, request: web.Request) -> web.Response:
        self._refresh()
        encoder, content_type = exposition.choose_encoder(request.headers.get("Accept", ""))
        body = encoder(self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _health(self, request: web.Request) -> web.Response:
        if self._healthy():
            return web.Response(text="serving\n")
        return web.Response(
            status=503, text="not serving: models are not warm, or inference or the disk hangs\n"
        )
