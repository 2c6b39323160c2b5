"""The demo's own requests, and the scripted operator who answers the waits they run into.

In: nothing. Out: `REQUESTS`, in the order in which `baton demo` sends them; `DEFAULT_FACTS` for
requests from a file, which name no customer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from services.bank import Bank

DEFAULT_FACTS: Mapping[str, str] = {"customer": "maya"}
"""Who asks where a request does not say: a seeded customer with something of everything."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What the scripted operator does with one wait of a run."""

    does: Literal["approve", "reject", "reply", "answer"]
    """`approve` or `reject` an approval; `reply` as the customer; `answer` as the person at the desk."""
    text: str = ""
    """The reply or answer; for an approval, the reason."""


@dataclass(frozen=True, slots=True)
class DemoRequest:
    """One request of the demo."""

    shows: str
    """What is to be seen, in a few words."""
    text: str
    facts: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_FACTS))
    conversation: str | None = None
    """Requests with the same label are one conversation, in this order; None: one of its own."""
    operator: tuple[Operation, ...] = ()
    """What to do with the run's waits, in order; empty: the run is expected to need nobody."""
    trail: tuple[str, ...] = ()
    """The agents expected on the way, the router first."""


def _of(customer: str) -> dict[str, str]:
    return {"customer": customer}


REQUESTS: tuple[DemoRequest, ...] = (
    DemoRequest(
        shows="a stolen card with an unknown payment",
        text="My card was stolen at the market, and now there is a payment on it that I never made",
        facts=_of("tomas"),
        trail=("router", "cards", "disputes"),
    ),
    DemoRequest(
        shows="a refund above the limit: a person approves",
        text="I want a refund for the tent from Nordkap Tents, the shop won't take it back",
        facts=_of("priya"),
        operator=(Operation("approve", "the tent tore on its first night"),),
        trail=("router", "payments"),
    ),
    DemoRequest(
        shows="a question back: which of two payments",
        text="Can I get my money back for something I bought last month? I'd like a refund",
        facts=_of("june"),
        operator=(Operation("reply", "the one from Trackside Shoes"),),
        trail=("router", "payments"),
    ),
    DemoRequest(
        shows="a transfer question that is about exchange",
        text="Lucia got less than I sent her with my bank transfer, did you take a transfer fee?",
        facts=_of("omar"),
        trail=("router", "transfers", "exchange"),
    ),
    DemoRequest(
        shows="a cash machine that kept the card",
        text="The ATM refused my withdrawal and gave me no cash at all",
        facts=_of("omar"),
        trail=("router", "cash", "cards"),
    ),
    DemoRequest(
        shows="three agents: an unknown withdrawal",
        text="Cash was taken out at a machine in Lisbon and I did not make that withdrawal",
        trail=("router", "cash", "cards", "disputes"),
    ),
    DemoRequest(
        shows="a request nobody handles: the router abstains",
        text="Could you recommend a good recipe for lentil soup?",
        operator=(Operation("answer", "I'd add cumin and lemon; for your money, we are here any time."),),
        trail=("router", "human"),
    ),
    DemoRequest(
        shows="closing an account with money on it: a person decides",
        text="I want to close my account, I am moving to another bank",
        facts=_of("erin"),
        operator=(Operation("answer", "Erin, the 1,240.50 GBP goes to your new bank, then we close it."),),
        trail=("router", "account", "human"),
    ),
    DemoRequest(
        shows="the first request of a conversation",
        text="I found my card again, it was under the sofa. Please unfreeze it",
        facts=_of("erin"),
        conversation="erin's card",
        trail=("router", "cards"),
    ),
    DemoRequest(
        shows="a follow-up, to the agent that answered",
        text="And when does the other one get here?",
        facts=_of("erin"),
        conversation="erin's card",
        trail=("router", "cards"),
    ),
    DemoRequest(
        shows="the same conversation, another topic",
        text="Something else: what exchange rate do I get today if I change pounds to dollars?",
        facts=_of("erin"),
        conversation="erin's card",
        trail=("router", "exchange"),
    ),
    DemoRequest(
        shows="a record looked up: a pending payment",
        text="The hotel payment on my card has been pending for days, when does it go through?",
        trail=("router", "payments"),
    ),
    DemoRequest(
        shows="an effect: a transfer taken back",
        text="Please cancel the transfer to Jonas Weber, I typed the wrong amount",
        trail=("router", "transfers"),
    ),
    DemoRequest(
        shows="a record looked up: a failed top-up",
        text="Why did my top-up fail on Saturday?",
        trail=("router", "topups"),
    ),
    DemoRequest(
        shows="an effect: a case for missing cash",
        text="The cash machine in Baker Street gave me less money than I asked for",
        trail=("router", "cash"),
    ),
    DemoRequest(
        shows="an effect: a new identity check",
        text="The app could not verify my identity, what went wrong with the photo of my passport?",
        trail=("router", "account"),
    ),
)
"""Every path of the desk, and something from each department."""


def prepare() -> None:
    """Put the seeded customers' records back, so that the demo shows the same every time.

    Works on the bank of `DESK_BANK_URL`; its ledger stays.

    Raises:
        BankUrlError: The bank cannot be opened.
    """
    bank = Bank.from_env()
    try:
        bank.restore()
    finally:
        bank.close()
