"""The agent `disputes`: opens cases for payments that the customer did not make.

In: handoffs from `cards`, `payments` and `cash`, with the facts they found. Out: an answer with the
case number, or a question where two payments are possible.
"""

from baton import Agent, Answer, Ask, Turn
from services.bank import Bank
from services.bank.records import Customer, Transaction
from services.counter import Outcome, for_customer, named, nothing, open_bank, said

# The router never chooses it; by these a message in its conversations is told from one about something else.
SAID = (
    "I did not make that payment",
    "there is one more payment that was not me",
    "somebody else took that cash",
    "I never authorised it",
    "which payment do you mean?",
    "it was the one for 240 pounds",
    "how does my case stand?",
    "when do I hear about my dispute?",
)
disputes = Agent("disputes", "Payments and withdrawals the customer did not make", examples=SAID, entry=False)
disputes.resources(open_bank)


@disputes.turn
@for_customer
async def open_case(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Open a case for the payment at hand, once, or tell how the open ones stand."""
    if turn.from_agent in (None, "router"):
        return await standing(turn, bank, customer)
    payment = await disputed(turn, bank, customer)
    if not isinstance(payment, Transaction):
        return payment
    receipt = await turn.step("case", bank.open_case, customer.id, "unknown payment", payment.id, effect="keyed")
    verb = "is open" if receipt.changed else "was already open"
    frozen = f" Your card ending {turn.facts['last4']} is frozen." if turn.facts.get("frozen") else ""
    return Answer(
        f"Case {receipt.reference} {verb} for {payment.label}.{frozen} You hear from us by {receipt.date}.",
        data={"case": receipt.reference, "transaction": payment.id},
    )


async def disputed(turn: Turn, bank: Bank, customer: Customer) -> Transaction | Outcome:
    """Return the payment that is disputed, or what to say where it is not clear which one."""
    fact = turn.facts.get("transaction")
    if isinstance(fact, str):
        return await turn.step("transaction", bank.transaction_of, customer.id, fact)
    paid = await turn.step("paid", bank.transactions, customer.id, "card_payment", "completed")
    unusual = [payment for payment in paid if payment.flag == "unusual"]
    chosen = named(said(turn), unusual or paid)
    if chosen is not None or len(unusual) == 1:
        return chosen or unusual[0]
    if not paid or turn.reply is not None:
        return nothing(customer, "no payment like that")
    options = [payment.label for payment in (unusual or paid)[:5]]
    return Ask("Which of these payments did you not make?", options=options)


async def standing(turn: Turn, bank: Bank, customer: Customer) -> Answer:
    """Tell how the customer's cases stand."""
    cases = await turn.step("cases", bank.cases, customer.id)
    lines = "; ".join(f"{case.id}, {case.kind}, {case.status} since {case.opened_on}" for case in cases)
    return Answer(f"Your cases: {lines}." if lines else f"{customer.first_name}, you have no case with us.")
