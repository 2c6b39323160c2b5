"""The AsyncAPI document, made from the models and the names that the code uses.

In: `wire`, and the names of exchanges and queues. Out: `docs/asyncapi.json`; `python -m tests.support.wire` writes it.
"""

import json
from typing import Any

from baton.broker.rabbitmq import names
from baton.broker.rabbitmq.requester import REQUEST_TYPE
from baton.envelope import SCHEMA
from tests.support.wire import ROOT, WIRE, definitions_of, one_of

PUBLISHED = ROOT / "docs" / "asyncapi.json"
BINDING = "0.3.0"
_MESSAGES = {
    "request": ("A request, a reply or a cancel", REQUEST_TYPE),
    "result": ("A result, or a question to the user", names.RESULT_TYPE),
    "rejected": ("Why a message was not taken", names.RESULT_TYPE),
    "envelope.v1": ("The context of one hop", names.HOP_TYPE),
}
_PROPERTIES: dict[str, dict[str, tuple[str, bool]]] = {
    "request": {
        "message_id": ("Idempotency key: repeated, it is the same run.", False),
        "reply_to": (f"Queue for results; none that begins with `{names.APP_ID}.`.", False),
        "correlation_id": ("Comes back with each result.", False),
        "user_id": ("The connection's user: the tenant. The broker checks it.", False),
        "traceparent": ("W3C trace context of the caller.", False),
        "tracestate": ("Goes with `traceparent`.", False),
    },
    "result": {
        "message_id": ("The same each time one result or one question is published.", True),
        "correlation_id": ("The request's.", False),
        "baton-run": ("The run.", True),
        "traceparent": ("The request's.", False),
        "tracestate": ("The request's.", False),
    },
    "rejected": {
        "message_id": ("The same each time one message is rejected.", True),
        "correlation_id": ("The message's.", False),
    },
    "envelope.v1": {
        "message_id": ("uuid5 of run and seq: the same for each publish of one hop.", True),
        "correlation_id": ("The run.", True),
        "baton-schema": ("Version of the envelope.", True),
        "baton-run": ("The run.", True),
        "baton-seq": ("The hop's number in its run.", True),
        "baton-tenant": ("Whose run it is.", True),
        "baton-from": ("The agent that published it; empty: the router's own.", True),
        "traceparent": ("W3C trace context.", False),
        "tracestate": ("Goes with `traceparent`.", False),
    },
}
"""Properties and headers of each message, and whether it always has them."""


def document() -> str:
    """Return the document, as the file holds it."""
    refs, schemas = definitions_of(list(WIRE.values()), ref="#/components/schemas/{model}")
    left = iter(refs)
    payloads = {name: one_of([next(left) for _ in wire.models]) for name, wire in WIRE.items()}
    found = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Baton",
            "version": SCHEMA,
            "description": "What programs in any language exchange with Baton over AMQP 0-9-1. Properties of AMQP "
            "are listed among the headers, by their names in AMQP.",
        },
        "defaultContentType": "application/json",
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "messages": {name: _message(name, payload) for name, payload in payloads.items()},
            "correlationIds": {"request": {"location": "$message.header#/correlation_id"}},
            "schemas": schemas,
        },
    }
    return json.dumps(found, indent=2) + "\n"


def _channels() -> dict[str, Any]:
    return {
        "requests": {
            "address": names.REQUESTS,
            "description": "Where any program publishes, with any routing key.",
            "messages": _messages("request"),
            "bindings": _exchange(names.REQUESTS),
        },
        "results": {
            "address": None,
            "description": "The queue that `reply_to` names: the requester's own, through the default exchange.",
            "messages": _messages("result", "rejected"),
            "bindings": {
                "amqp": {
                    "is": "queue",
                    "queue": {"name": "", "durable": False, "exclusive": True, "autoDelete": True},
                    "bindingVersion": BINDING,
                }
            },
        },
        "work": {
            "address": "{agent}",
            "description": f"Exchange `{names.WORK}`; the key is the agent's name, "
            f"its queue is `{names.agent_queue('{agent}')}`. For Baton's own services.",
            "parameters": {"agent": {"description": "An agent's name, or `router`."}},
            "messages": _messages("envelope.v1"),
            "bindings": _exchange(names.WORK),
        },
    }


def _operations() -> dict[str, Any]:
    return {
        "takeRequest": {
            "action": "receive",
            "channel": {"$ref": "#/channels/requests"},
            "messages": [{"$ref": "#/channels/requests/messages/request"}],
            "bindings": {"amqp": {"deliveryMode": 2, "mandatory": True, "bindingVersion": BINDING}},
            "reply": {
                "address": {"location": "$message.header#/reply_to"},
                "channel": {"$ref": "#/channels/results"},
                "messages": [{"$ref": f"#/channels/results/messages/{name}"} for name in ("result", "rejected")],
            },
        },
        "handOff": {
            "action": "send",
            "channel": {"$ref": "#/channels/work"},
            "messages": [{"$ref": "#/channels/work/messages/envelope.v1"}],
            "bindings": {"amqp": {"deliveryMode": 2, "mandatory": True, "bindingVersion": BINDING}},
        },
    }


def _messages(*found: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in found}


def _exchange(name: str) -> dict[str, Any]:
    exchange = {"name": name, "type": "topic", "durable": True, "autoDelete": False}
    return {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": BINDING}}


def _message(name: str, payload: dict[str, Any]) -> dict[str, Any]:
    title, kind = _MESSAGES[name]
    properties = _PROPERTIES[name]
    return {
        "name": name,
        "title": title,
        "contentType": "application/json",
        "correlationId": {"$ref": "#/components/correlationIds/request"},
        "headers": {
            "type": "object",
            "properties": {key: {"type": "string", "description": told} for key, (told, _) in properties.items()},
            "required": [key for key, (_, is_always) in properties.items() if is_always],
        },
        "payload": payload,
        "bindings": {"amqp": {"messageType": kind, "bindingVersion": BINDING}},
    }
