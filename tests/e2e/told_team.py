"""A team whose requests say whose they are likeliest and how sure that is: `cards 0.62 …`."""

from collections.abc import Sequence

from baton import Agent, Answer, Card, RouteDecision, Rule, Team, Turn

MODEL = "told/1/5f5f5f5f5f5f"


class Told:
    """Abstains below 0.5."""

    def classify(self, text: str, cards: Sequence[Card]) -> RouteDecision:
        """Decide as the text says."""
        best, number, *_ = text.split()
        confidence = float(number)
        return RouteDecision(
            agent=best if confidence >= 0.5 else None,
            skill=None,
            confidence=confidence,
            runner_up=None,
            margin=0.5,
            method="told",
            threshold=0.5,
            best=best,
            scores={best: confidence},
            model=MODEL,
        )


cards = Agent("cards", "All about cards", examples=["cards 0.99 an example"])
loans = Agent("loans", "All about loans", rules=[Rule(pattern="^rule ")])


vault = Agent("vault", "Never the first to have a request", entry=False)


@cards.turn
@loans.turn
@vault.turn
async def take(turn: Turn) -> Answer:
    """Say that it was taken."""
    return Answer("taken")


team = Team("told", [cards >> vault], agents=[cards, vault, loans], fallback="human", classifier=Told())
