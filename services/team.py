"""The team of the desk: its agents and who may hand off to whom. `baton run services.team:desk`."""

from baton import Team
from services.account.agent import account
from services.cards.agent import cards
from services.cash.agent import cash
from services.disputes.agent import disputes
from services.exchange.agent import exchange
from services.payments.agent import payments
from services.topups.agent import topups
from services.transfers.agent import transfers

desk = Team(
    "desk",
    [
        [cards, payments] >> disputes,
        [cash, payments, account] >> cards,
        transfers >> exchange,
    ],
    agents=[topups],
    fallback="human",
)
