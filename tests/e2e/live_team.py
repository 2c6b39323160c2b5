"""Agents of which two know much the same, each to be served by a process of its own."""

from baton import Agent, Answer, Turn

cards = Agent("cards", "Bank cards: lost, stolen, used abroad")
fraud = Agent("fraud", "Crime: theft, payments that the customer did not make")
garden = Agent("garden", "Plants", examples=["water my tulips", "my roses are dry", "the flowers need water"])
hedges = Agent(
    "garden", "Plants and hedges", examples=["trim the hedge", "my hedge is too high", "cut the hedges back"]
)
"""The same agent in a later version."""


async def take(_: Turn) -> Answer:
    """Be done."""
    return Answer("done")


cards.skill("stolen card", examples=["my card was stolen", "I lost my card", "somebody took my card, block it"])(take)
cards.skill("rates", examples=["what is the rate for dollars?", "how much is a euro in Japan?", "rates abroad"])(take)
fraud.skill("theft", examples=["my wallet and my cards were stolen", "a thief has my card", "my bag was stolen"])(take)
fraud.skill("unknown payment", examples=["I did not make this payment", "who took money from my account?"])(take)
for agent in (cards, fraud, garden, hedges):
    agent.turn(take)
