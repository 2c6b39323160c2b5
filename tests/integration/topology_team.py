"""A team for RabbitMQ's topology: an edge, an agent that no edge leads to, and a fallback."""

from baton import Agent, Answer, Team, Turn

cards = Agent("cards", "Lost cards")
disputes = Agent("disputes", "Unknown payments", entry=False)
vault = Agent("vault", "What no agent may hand off to", entry=False)
clerk = Agent("clerk", "Takes what nobody else takes", entry=False)


@cards.turn
@disputes.turn
@vault.turn
@clerk.turn
def answer(turn: Turn) -> Answer:
    return Answer(turn.text)


team = Team("topology", [cards >> disputes], agents=[vault], fallback=clerk)
smaller = Team("topology", agents=[cards, disputes, vault], fallback=clerk)
