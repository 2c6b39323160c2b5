"""`/healthz` and `/readyz`: whether to restart this process, and whether to count on it; `/metrics`: what it did.

In: a look at what the process depends on. Out: 200 or 503, with what is wrong. `/healthz` depends on
nothing but this process's event loop: a dead broker or database is no reason to restart an agent.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from baton.errors import ConfigError

if TYPE_CHECKING:
    from aiohttp import web

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Source: prometheus.io/docs/instrumenting/exposition_formats/#text-based-format"""


class Health:
    """A small HTTP server beside the work.

    Args:
        troubles: Returns what keeps the process from working as it should.
        page: Returns what Prometheus reads; called in a thread. None: nothing is counted.
    """

    def __init__(self, troubles: Callable[[], Awaitable[list[str]]], page: Callable[[], bytes] | None = None) -> None:
        self._troubles = troubles
        self._page = page
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port.

        Args:
            host: Address to listen on.
            port: 0 for any.

        Raises:
            ConfigError: Nobody can listen there.
        """
        from aiohttp import web

        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self.stop()
            raise ConfigError(f"BATON_HEALTH_PORT: nothing can listen on {host}:{port}: {error.strerror}") from error
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _healthz(self, _: "web.Request") -> "web.Response":
        from aiohttp import web

        return web.json_response({"status": "ok"})

    async def _readyz(self, _: "web.Request") -> "web.Response":
        from aiohttp import web

        troubles = await self._troubles()
        status = 503 if troubles else 200
        return web.json_response({"status": "not ready" if troubles else "ready", "troubles": troubles}, status=status)

    async def _metrics(self, _: "web.Request") -> "web.Response":
        from aiohttp import web

        if self._page is None:
            return web.Response(status=404, text="nothing is counted: OTEL_METRICS_EXPORTER or OTEL_SDK_DISABLED\n")
        page = await asyncio.to_thread(self._page)  # hundreds of lines: the work is not to wait for them
        return web.Response(body=page, headers={"Content-Type": METRICS_TYPE})
