"""The agent `cash`: cash machines, withdrawals and deposits.

In: requests about cash. Out: answers from the bank's records, a case for missing cash, or a handoff
to `cards` where a card has to be blocked (a machine kept it, or somebody else withdrew with it).
"""

from baton import Agent, Answer, Handoff, Turn
from services.bank import Bank
from services.bank.records import Customer
from services.cash import examples
from services.counter import Outcome, find, for_customer, listed, nothing, open_bank, said

cash = Agent("cash", "Cash machines, withdrawals and deposits of cash or cheques: fees, amounts, missing cash")
cash.resources(open_bank)


@cash.skill("find a cash machine", examples=examples.MACHINES)
@for_customer
async def find_machine(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Name machines in the city that is meant, else in the customer's own."""
    machines = await turn.step("machines", bank.machines)
    city = next((one.city for one in machines if one.city.lower() in said(turn)), customer.city)
    near = [f"{one.place} ({one.networks})" for one in machines if one.city == city]
    fee = await turn.step("fee", bank.tariff, "withdrawal_fee")
    return Answer(
        f"Any machine with the sign of your card works. Without a fee of their own in {city}: "
        f"{'; '.join(near) or 'none'}. Ours: {fee.amount} for {fee.terms}."
    )


@cash.skill("cheque or cash deposit not showing", examples=examples.DEPOSIT)
@for_customer
async def deposit(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say when a deposit counts."""
    days = await turn.step("days", bank.tariff, "deposit_days")
    paid_in = await find(turn, bank, customer, "deposit", "pending")
    if paid_in is None:
        return Answer(f"No deposit of yours is open; {days.terms}.")
    return Answer(f"Your deposit of {paid_in.label} is pending and counts by {paid_in.due_on}: {days.terms}.")


@cash.skill("fee for a cash withdrawal", examples=examples.WITHDRAWAL_FEE)
@for_customer
async def withdrawal_fee(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Explain the fee of the newest withdrawal that carries one."""
    fee = await turn.step("fee", bank.tariff, "withdrawal_fee")
    taken = await turn.step("withdrawals", bank.transactions, customer.id, "withdrawal", "completed")
    charged = next((one for one in taken if one.fee_minor), None)
    rule = f"{fee.amount} is for {fee.terms}"
    if charged is None:
        return Answer(f"None of your withdrawals carries a fee. {rule}.")
    return Answer(f"Your withdrawal of {charged.label} carries {charged.fee} ({charged.reason}): {rule}.")


@cash.skill("cash withdrawal not recognised", examples=examples.UNKNOWN_WITHDRAWAL)
@for_customer
async def unknown_withdrawal(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Have the card frozen and the withdrawal looked into."""
    taken = await find(turn, bank, customer, "withdrawal", "completed", flag="unusual")
    if taken is None:
        recent = await turn.step("recent", bank.transactions, customer.id, "withdrawal")
        return Answer(f"None of your withdrawals looks unusual. The latest: {listed(recent)}.")
    return Handoff(
        "cards",
        reason=f"unknown withdrawal: {taken.label}",
        facts={"transaction": taken.id, "freeze": "compromised"},
    )


@cash.skill("declined cash withdrawal", examples=examples.DECLINED_WITHDRAWAL)
@for_customer
async def declined(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say why a withdrawal was refused; a machine that kept the card is for `cards`."""
    refused = await find(turn, bank, customer, "withdrawal", "declined")
    if refused is None:
        return nothing(customer, "no declined withdrawal")
    if refused.flag == "card_kept":
        facts = {"freeze": "retained", "machine": refused.counterparty}
        return Handoff("cards", reason=f"a cash machine kept the card: {refused.label}", facts=facts)
    limit = await turn.step("limit", bank.tariff, "withdrawal_limit")
    return Answer(
        f"Your withdrawal of {refused.label} was declined: {refused.reason}. "
        f"The limit is {limit.amount} {limit.terms}. No money was taken."
    )


@cash.skill("pending cash withdrawal", examples=examples.PENDING_WITHDRAWAL)
@for_customer
async def pending(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say why a withdrawal is pending, and until when."""
    open_one = await find(turn, bank, customer, "withdrawal", "pending")
    if open_one is None:
        return nothing(customer, "no pending withdrawal")
    return Answer(
        f"Your withdrawal of {open_one.label} is pending: {open_one.reason}. If the machine paid "
        f"nothing, the money is free again by {open_one.due_on}."
    )


@cash.skill("wrong amount of cash", examples=examples.WRONG_AMOUNT)
@for_customer
async def wrong_amount(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Open a case for the difference between the machine's count and the booking."""
    short = await find(turn, bank, customer, "withdrawal", "completed", flag="short")
    if short is None:
        recent = await turn.step("recent", bank.transactions, customer.id, "withdrawal", "completed")
        return Answer(f"The machines' counts agree with your withdrawals. The latest: {listed(recent)}.")
    receipt = await turn.step("case", bank.open_case, customer.id, "cash difference", short.id, effect="keyed")
    return Answer(
        f"You were booked {short.label}, and {short.reason}. Case {receipt.reference} is open; the "
        f"difference is back by {receipt.date}.",
        data={"case": receipt.reference, "transaction": short.id},
    )


@cash.turn
@for_customer
async def go_on(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Answer a follow-up, or what no skill fits, from the latest withdrawals and the limit."""
    recent = await turn.step("recent", bank.transactions, customer.id, "withdrawal")
    limit = await turn.step("limit", bank.tariff, "withdrawal_limit")
    return Answer(f"Your latest withdrawals: {listed(recent)}. The limit is {limit.amount} {limit.terms}.")
