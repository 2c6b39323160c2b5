"""`python -m tests.bench.collector`: takes spans over OTLP/HTTP, as cheaply as can be, and counts them when asked.

In: exports on a port of its own, which it prints. Out: `GET /spans`: how many came since the last time.
"""

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TAKING = "taking spans on port "
_bodies: list[bytes] = []


async def take(request: web.Request) -> web.Response:
    _bodies.append(await request.read())
    return web.Response(content_type="application/x-protobuf")


async def count(_: web.Request) -> web.Response:
    found = sum(
        len(scope.spans)
        for body in _bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
    )
    _bodies.clear()
    return web.json_response(found)


async def forget(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(content_type="application/x-protobuf")


def main() -> None:
    app = web.Application(client_max_size=2**28)
    app.router.add_post("/v1/traces", take)
    app.router.add_post("/v1/metrics", forget)
    app.router.add_get("/spans", count)

    async def tell(_: web.Application) -> None:
        print(f"{TAKING}{port}", flush=True)

    import socket

    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    app.on_startup.append(tell)
    web.run_app(app, sock=listening, print=None, access_log=None)


if __name__ == "__main__":
    main()
