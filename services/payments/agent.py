"""The agent `payments`: explains card payments and direct debits, and refunds.

In: requests about payments. Out: answers from the bank's records, refunds (above the limit only with
a person's approval), a question where two payments are possible, or a handoff to `disputes` or `cards`.
"""

from baton import Agent, Answer, Ask, Handoff, Turn
from services.bank import Bank
from services.bank.records import Customer, Transaction
from services.counter import Outcome, find, for_customer, listed, mentions, named, nothing, open_bank, said
from services.payments import examples

APPROVAL_DEADLINE_S = 2 * 24 * 3600.0
"""How long a refund above the limit waits for a person; then it counts as denied."""

payments = Agent("payments", "Card payments and direct debits: declined, pending, reverted, unknown, refunds")
payments.resources(open_bank)


@payments.skill("declined card payment", examples=examples.DECLINED)
@for_customer
async def declined(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say why the newest payment was refused."""
    payment = await find(turn, bank, customer, "card_payment", "declined")
    if payment is None:
        return nothing(customer, "no declined payment")
    return Answer(f"Your payment of {payment.label} was declined: {payment.reason}. No money was taken.")


@payments.skill("pending card payment", examples=examples.PENDING)
@for_customer
async def pending(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say why a payment is pending, and until when."""
    payment = await find(turn, bank, customer, "card_payment", "pending")
    if payment is None:
        return nothing(customer, "no pending payment")
    return Answer(
        f"Your payment of {payment.label} is pending: {payment.reason}. It is collected, or the money is "
        f"free again, by {payment.due_on}."
    )


@payments.skill("reverted card payment", examples=examples.REVERTED)
@for_customer
async def reverted(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say why a payment came back."""
    payment = await find(turn, bank, customer, "card_payment", "reverted")
    if payment is None:
        return nothing(customer, "no reverted payment")
    return Answer(f"Your payment of {payment.label} was reverted: {payment.reason}. The money is on your account.")


@payments.skill("card payment not recognised", examples=examples.UNKNOWN)
@for_customer
async def unknown(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Hand the payment that looks unusual to disputes; a card that is gone is frozen first."""
    payment = await find(turn, bank, customer, "card_payment", "completed", flag="unusual")
    if payment is None:
        recent = await turn.step("recent", bank.transactions, customer.id, "card_payment", "completed")
        return Answer(f"None of your payments looks unusual. The latest are: {listed(recent)}.")
    reason = f"unknown payment: {payment.label}"
    if mentions(turn, "stole", "lost", "thie", "robb"):
        # The card is what can still do harm; `cards` goes on to `disputes`.
        return Handoff("cards", reason=reason, facts={"transaction": payment.id, "freeze": "stolen"})
    return Handoff("disputes", reason=reason, facts={"transaction": payment.id})


@payments.skill("direct debit not recognised", examples=examples.DIRECT_DEBIT)
@for_customer
async def direct_debit(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say whose direct debit it is, and open a case for it."""
    debit = await find(turn, bank, customer, "direct_debit", "completed")
    if debit is None:
        return nothing(customer, "no direct debit")
    receipt = await turn.step("case", bank.open_case, customer.id, "direct debit", debit.id, effect="keyed")
    mandate = f" ({debit.reason})" if debit.reason else ""
    return Answer(
        f"The direct debit is {debit.label}{mandate}. Case {receipt.reference} is open; if the mandate "
        f"is not yours, the money is back by {receipt.date}.",
        data={"case": receipt.reference, "transaction": debit.id},
    )


@payments.skill("charged twice", examples=examples.TWICE)
@for_customer
async def twice(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Refund the second of two equal payments."""
    doubles = await turn.step("duplicates", bank.duplicates, customer.id)
    if not doubles:
        return nothing(customer, "no payment twice")
    return await pay_back(turn, bank, customer, named(said(turn), doubles) or doubles[0])


@payments.skill("fee for a card payment", examples=examples.PAYMENT_FEE)
@for_customer
async def payment_fee(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Explain the fee on a payment; give a small one back where that is asked for."""
    paid = await turn.step("paid", bank.transactions, customer.id, "card_payment", "completed")
    tariff = await turn.step("fee", bank.tariff, "foreign_payment_fee")
    charged = [one for one in paid if one.fee_minor]
    rule = f"Payments in your own currency are free; {tariff.percent} is for {tariff.terms}"
    if not charged:
        return Answer(f"None of your payments carries a fee. {rule}.")
    payment = named(said(turn), charged) or charged[0]
    limit = await turn.step("small fee", bank.tariff, "small_fee_limit")
    if (
        mentions(turn, "waive", "remove", "return", "refund", "back", "take")
        and payment.fee_minor <= limit.amount_minor
    ):
        receipt = await turn.step("return fee", bank.return_fee, payment.id, effect="keyed")
        return Answer(f"The fee of {receipt.amount} on {payment.label} is given back, as a gesture. {rule}.")
    return Answer(f"{payment.label} carries a fee of {payment.fee}: {payment.reason}. {rule}.")


@payments.skill("extra charge on the statement", examples=examples.EXTRA_CHARGE)
@for_customer
async def extra_charge(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Explain the smallest charge on the statement: most often a card check that is given back."""
    charges = await turn.step("charges", bank.transactions, customer.id, "card_payment")
    taken = [one for one in charges if one.status in ("pending", "completed")]
    if not taken:
        return nothing(customer, "no charge")
    charge = named(said(turn), taken) or min(taken, key=lambda one: one.amount_minor)
    why = charge.reason or "an ordinary card payment"
    until = f", by {charge.due_on}" if charge.due_on else ""
    return Answer(f"The charge is {charge.label} ({charge.status}): {why}{until}.")


@payments.skill("ask for a refund", examples=examples.REFUND)
@for_customer
async def refund(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Refund the purchase that is meant; ask which one where the text does not say."""
    bought = await turn.step("purchases", bank.transactions, customer.id, "card_payment", "completed", "")
    if not bought:
        return nothing(customer, "no purchase that could be refunded")
    payment = named(said(turn), bought)
    if payment is None and len(bought) > 1:
        if turn.reply is None:
            count = "two" if len(bought) == 2 else "latest"
            return Ask(f"Which of the {count} payments is it about?", options=[one.label for one in bought[:5]])
        return Answer(f"I find no payment like that. Your latest purchases are: {listed(bought, 5)}.")
    return await pay_back(turn, bank, customer, payment or bought[0])


@payments.skill("refund not showing up", examples=examples.REFUND_MISSING)
@for_customer
async def refund_missing(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say where a refund is."""
    days = await turn.step("days", bank.tariff, "refund_days")
    due = await find(turn, bank, customer, "card_payment", "refund_due")
    if due is not None:
        return Answer(f"The refund of {due.label} is on its way: {due.reason}, and it comes by {due.due_on}.")
    done = await find(turn, bank, customer, "card_payment", "refunded")
    if done is not None:
        return Answer(f"The refund of {done.label} is on your account already.")
    return Answer(f"No shop has announced a refund for you yet; {days.terms}.")


@payments.turn
@for_customer
async def go_on(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Answer a follow-up, or what no skill fits, from the latest payments."""
    recent = await turn.step("recent", bank.transactions, customer.id, "card_payment")
    if not recent:
        return nothing(customer, "no payment")
    chosen = named(said(turn), recent)
    why = f": {chosen.reason}" if chosen and chosen.reason else ""
    if chosen is not None:
        return Answer(f"Your payment of {chosen.label} is {chosen.status}{why}.")
    return Answer(f"Your latest payments: {listed(recent)}.")


async def pay_back(turn: Turn, bank: Bank, customer: Customer, payment: Transaction) -> Outcome:
    """Refund a payment: at once up to the limit, above it if a person approves."""
    if payment.status == "refunded":
        return Answer(f"{payment.label} has been refunded to your account already.")
    limit = await turn.step("refund limit", bank.tariff, "refund_limit")
    if payment.amount_minor > limit.amount_minor:
        prompt = f"Refund {payment.amount} to {customer.name} for {payment.counterparty} ({payment.booked_on})?"
        approval = await turn.approve("refund-limit", prompt, deadline_s=APPROVAL_DEADLINE_S, on_timeout="deny")
        if not approval.granted:
            told = f": {approval.reason}" if approval.reason else ""
            return Answer(f"The refund of {payment.label} was not granted by {approval.by}{told}.")
    receipt = await turn.step("refund", bank.refund, payment.id, effect="keyed")
    return Answer(
        f"{receipt.amount} for {payment.counterparty} ({payment.booked_on}) is refunded to your account.",
        data={"transaction": payment.id, "amount_minor": receipt.amount_minor},
    )
