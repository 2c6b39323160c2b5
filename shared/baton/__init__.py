"""Durable handoffs between agents.

Declare agents, say who may hand off to whom with `>>`, and put them into a `Team`. Serve it with
`baton run`, send requests with `Client` or `baton send`.
"""

from baton.agent import Agent, Edge
from baton.card import Card, Rule, SkillCard
from baton.client import Client, Run
from baton.config import Settings
from baton.envelope import Envelope, Message, TrailEntry
from baton.errors import (
    BatonError,
    ConfigError,
    NotWaitingError,
    PermanentError,
    RequestError,
    ResultTimeoutError,
    TransientError,
)
from baton.hop.turn import Turn
from baton.outcome import Answer, Approval, Ask, Handoff, Shift
from baton.request import Failure, Question, Request, Result
from baton.routing.decision import Classifier, RouteDecision
from baton.routing.llm import LLMClassifier
from baton.team import Group, Team

__all__ = [
    # what a team is made of
    "Agent",
    "Card",
    "Edge",
    "Group",
    "Rule",
    "SkillCard",
    "Team",
    # what a turn gets and returns
    "Answer",
    "Approval",
    "Ask",
    "Handoff",
    "Message",
    "Shift",
    "TrailEntry",
    "Turn",
    # sending requests
    "Client",
    "Failure",
    "Question",
    "Request",
    "Result",
    "Run",
    # putting in one's own parts
    "Classifier",
    "Envelope",
    "LLMClassifier",
    "RouteDecision",
    "Settings",
    # errors
    "BatonError",
    "ConfigError",
    "NotWaitingError",
    "PermanentError",
    "RequestError",
    "ResultTimeoutError",
    "TransientError",
]
