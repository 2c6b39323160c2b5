"""`baton route` and `baton cards check`: why a text goes where it goes, and how to make that surer.

In: a text, and cards from the journal or a team. Out: one decision, explained; warnings.
"""

from dataclasses import dataclass
from typing import Annotated

import typer

from baton import codec
from baton.card import Card
from baton.cli import card_checks, exits, loading, opening
from baton.cli.options import JSON, TEAM
from baton.cli.printing import counted, fields, heading, say, say_json, table
from baton.cli.progress import progress
from baton.errors import NotFoundError
from baton.protocol import route as rules
from baton.protocol.guards import Graph
from baton.protocol.route import RouteInput
from baton.router import default_classifier
from baton.routing.decision import Classifier
from baton.team import Team

DESK = "services.team:desk"
"""The shipped desk, for whoever has no team yet."""


@dataclass(frozen=True, slots=True)
class Cards:
    """The cards that a decision is made over, and where they come from."""

    graph: Graph
    source: str
    classifier: Classifier


def register(app: typer.Typer) -> None:
    """Add `route` and `cards check` to the commands."""
    cards_app = typer.Typer(help="Look at the agents' cards.", no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(cards_app, name="cards")
    exits.add(app, "route", route)
    exits.add(cards_app, "check", check)


async def route(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A request.")],
    team: TEAM = None,
    json: JSON = False,
) -> int:
    """Explain where the router would send a request, as the first of a conversation."""
    codec.checked_text(text)
    cards = await _cards(team)
    decision = cards.classifier.classify(text, rules.routable(cards.graph.cards, None))
    chosen = rules.choose(RouteInput(to=None, active=None), cards.graph, decision, None)
    if json:
        say_json({"text": text, "cards": cards.source, **chosen.stored()})
        return exits.DONE
    to = f"{chosen.agent} / {chosen.skill}" if chosen.skill else chosen.agent or "nobody: the run would fail"
    fields(
        {
            "goes to": to,
            "because": f"{chosen.how}: {chosen.reason}",
            "confidence": f"{decision.confidence:.3f}, needed {decision.threshold:.3f}",
            "runner-up": f"{decision.runner_up}, behind by {decision.margin:.3f}" if decision.runner_up else "none",
            "method": decision.method,
            "cards": f"{len(cards.graph.cards)} of {cards.source}",
        }
    )
    heading("Scores")
    ranking = sorted(decision.scores.items(), key=lambda item: (-item[1], item[0]))
    table(["agent", "probability"], [[name, f"{score:.3f}"] for name, score in ranking], right={"probability"})
    return exits.DONE


async def check(
    target: Annotated[str | None, typer.Argument(metavar="[TARGET]", help="A team; else as for `baton route`.")] = None,
    json: JSON = False,
) -> int:
    """Warn of cards that are hard to route by. Classifies each example without its like having been seen."""
    cards = await _cards(target)
    routable = rules.routable(cards.graph.cards, None)
    warnings = card_checks.warnings(list(cards.graph.cards.values()))
    with progress("classifying held-out examples"):
        held_out = card_checks.held_out(routable, cards.classifier)
    if json:
        say_json({"cards": cards.source, "warnings": warnings, "held_out": held_out})
        return exits.DONE
    say(f"{counted(len(cards.graph.cards), 'card')} of {cards.source}")
    for warning in warnings:
        say(f"  warning: {warning}")
    say(f"  {held_out}")
    say(f"{counted(len(warnings), 'warning')}")
    return exits.DONE


async def _cards(target: str | None) -> Cards:
    """Return the cards of a team, or of the journal, or of the shipped desk.

    Raises:
        ConfigError: The target or the settings cannot be used.
    """
    if target is not None:
        return _of_team(loading.load_team(target), target)
    try:
        async with opening.opened() as at:
            cards, fallback = await at.journal.registry()
            if cards:
                return Cards(Graph(cards, fallback), f"the {opening.shown(at.journal)}", default_classifier())
    except NotFoundError:
        pass
    return _of_team(loading.load_team(DESK), DESK)


def _of_team(team: Team, source: str) -> Cards:
    cards: dict[str, Card] = {card.name: card for card in team.cards()}
    return Cards(Graph(cards, team.fallback), source, team.classifier or default_classifier())
