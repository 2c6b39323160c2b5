"""`baton route`, `baton cards check` and `cards forget`: why a text goes where it goes, and how to make that surer.

In: a text, and cards from the journal or a team. Out: one decision, explained; warnings; a card less.
"""

from dataclasses import dataclass
from typing import Annotated

import typer

from baton import codec
from baton.card import Card
from baton.cli import card_checks, exits, loading, opening, values
from baton.cli.deciding import Guarded, classifier_for
from baton.cli.options import FACTS, JSON, TEAM
from baton.cli.printing import counted, fields, heading, listed, say, say_json, table
from baton.cli.progress import progress
from baton.errors import NotFoundError
from baton.hop.threads import in_thread
from baton.protocol import route as rules
from baton.protocol.guards import Graph
from baton.protocol.route import RouteInput
from baton.routing.chain import Chain
from baton.routing.decision import Classifier, RouteDecision
from baton.routing.llm import LLM, LLMClassifier
from baton.team import Team

DESK = "services.team:desk"
"""The shipped desk, for whoever has no team yet."""
_WARNINGS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Cards:
    """The cards that a decision is made over, and where they come from."""

    graph: Graph
    source: str
    classifier: Classifier
    llm: LLMClassifier | None = None


def register(app: typer.Typer) -> None:
    """Add `route`, `cards check` and `cards forget` to the commands."""
    cards_app = typer.Typer(help="Look after the agents' cards.", no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(cards_app, name="cards")
    exits.add(app, "route", route)
    exits.add(cards_app, "check", check)
    exits.add(cards_app, "forget", forget)


async def route(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A request.")],
    facts: FACTS = None,
    team: TEAM = None,
    json: JSON = False,
) -> int:
    """Explain where the router would send a request, as the first of a conversation. May ask the team's LLM."""
    codec.checked_text(text)
    given = values.facts_of(facts or ())
    cards = await cards_of(team)
    chain = Chain(cards.classifier, cards.llm, cards.graph.threshold)
    able = rules.routable(cards.graph.cards)
    decision = await in_thread(chain.decide, text, given, able)
    chosen = rules.choose(RouteInput(to=None, active=None), cards.graph, decision, None)
    if rules.is_idle(chosen, cards.graph):
        idle = frozenset(card.name for card in able if not cards.graph.is_live(card.name))
        offline = Chain(cards.classifier, threshold=cards.graph.threshold)
        chosen = rules.instead(chosen, await in_thread(offline.decide, text, given, able, without=idle))
    threshold_from = _threshold_from(decision, cards.graph)
    if json:
        say_json({"text": text, "cards": cards.source, **chosen.stored(), "threshold_from": threshold_from})
        return exits.DONE
    to = f"{chosen.agent} / {chosen.skill}" if chosen.skill else chosen.agent or "nobody: the run would fail"
    fields(
        {
            "goes to": to,
            "because": f"{chosen.how}: {chosen.reason}",
            "confidence": _confidence(decision),
            "threshold": _threshold(threshold_from, cards.graph),
            "runner-up": f"{decision.runner_up}, behind by {decision.margin:.3f}" if decision.runner_up else "none",
            "method": decision.method,
            "model": decision.model,
            "note": decision.note if decision.note not in chosen.reason else None,
            "cards": f"{len(cards.graph.cards)} of {cards.source}",
        }
    )
    if decision.scores:
        _scores(decision)
    return exits.DONE


def _confidence(decision: RouteDecision) -> str:
    if decision.threshold == 0 and decision.method == LLM:
        return f"{decision.confidence:.3f} by the offline classifier"
    return f"{decision.confidence:.3f}, needed {decision.threshold:.3f}"


def _threshold_from(decision: RouteDecision, graph: Graph) -> str | None:
    """Return `traffic` or `cards`; None: there is no threshold, a rule or a language model decided."""
    if decision.threshold == 0:
        return None
    return "traffic" if graph.threshold is not None and graph.threshold.fits(decision) else "cards"


def _threshold(source: str | None, graph: Graph) -> str | None:
    if source == "traffic":
        return "from labelled traffic"
    if source is None or graph.threshold is None:
        return source and "from the cards"
    stored = graph.threshold
    return f"from the cards; {stored.value:.3f} from labelled traffic is not used: it was found with {stored.model}"


def _scores(decision: RouteDecision) -> None:
    heading("Scores")
    ranking = sorted(decision.scores.items(), key=lambda item: (-item[1], item[0]))
    table(["agent", "probability"], [[name, f"{score:.3f}"] for name, score in ranking], right={"probability"})


async def check(
    target: Annotated[str | None, typer.Argument(metavar="[TARGET]", help="A team; else as for `baton route`.")] = None,
    json: JSON = False,
) -> int:
    """Warn of cards that are hard to route by. Classifies each example without its like having been seen."""
    cards = await cards_of(target)
    routable = rules.routable(cards.graph.cards)
    warnings = card_checks.warnings(list(cards.graph.cards.values()))
    with progress("classifying held-out examples", card_checks.held_out_count(routable)) as advance:
        held_out = card_checks.held_out(routable, cards.classifier, advance)
    if json:
        say_json({"cards": cards.source, "warnings": warnings, "held_out": held_out})
        return exits.DONE
    say(f"{counted(len(cards.graph.cards), 'card')} of {cards.source}")
    for warning in warnings[:_WARNINGS_SHOWN]:
        say(f"  warning: {warning}")
    if len(warnings) > _WARNINGS_SHOWN:
        say(f"  and {len(warnings) - _WARNINGS_SHOWN:,} more; --json lists all")
    say(f"  {held_out}")
    say(f"{counted(len(warnings), 'warning')}")
    return exits.DONE


async def forget(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="A registered agent that no process serves.")],
) -> int:
    """Take the card of an agent that is gone for good off the journal: no request is routed to it any more."""
    async with opening.opened() as at:
        seen = {one.name: one for one in await at.journal.agents()}
        await at.journal.forget(agent)
    say(f"no request is routed to {agent} any more")
    if agent in seen and (stay := seen[agent].pending + seen[agent].running + seen[agent].waiting):
        say(f"  {counted(stay, 'hop')} still its own, for when it is served again: see `baton runs --agent {agent}`")
    if naming := [one.name for one in seen.values() if agent in one.targets]:
        say(f"  {listed(naming)} may still hand off to it: take it out of their `handoffs`")
    return exits.DONE


async def cards_of(target: str | None) -> Cards:
    """Return the cards of a team, or of the journal, or of the shipped desk.

    Raises:
        ConfigError: The target or the settings cannot be used.
    """
    if target is not None:
        return _of_team(loading.load_team(target), target)
    try:
        async with opening.opened() as at:
            graph = await at.journal.registry()
            if graph.cards:
                return Cards(graph, f"the {opening.shown(at.journal)}", classifier_for())
    except NotFoundError:
        pass
    return _of_team(loading.load_team(DESK), DESK)


def _of_team(team: Team, source: str) -> Cards:
    cards: dict[str, Card] = {card.name: card for card in team.cards()}
    own = Guarded(team.classifier) if team.classifier else classifier_for()
    return Cards(Graph(cards, team.fallback), source, own, team.llm)
