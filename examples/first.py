from baton import Agent, Answer, Handoff, Team, Turn

cards = Agent("cards", "Lost, stolen or broken cards", examples=["I lost my card", "my card was stolen"])
disputes = Agent("disputes", "Payments the customer did not make", entry=False)


@cards.turn
async def freeze(turn: Turn) -> Answer | Handoff:
    return Handoff(disputes, reason="an unknown payment", facts={"card": "frozen"})


@disputes.turn
async def open_case(turn: Turn) -> Answer:
    return Answer(f"Case opened; the card is {turn.facts['card']}.")


desk = Team("desk", [cards >> disputes])
