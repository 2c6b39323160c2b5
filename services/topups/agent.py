"""The agent `topups`: adding money by card, transfer, cash or cheque.

In: requests about top-ups. Out: answers from the bank's records, and automatic top-ups switched.
"""

from baton import Agent, Answer, Turn
from services.bank import Bank
from services.bank.calendar import TODAY
from services.bank.records import Customer, money
from services.counter import Outcome, find, for_customer, listed, mentions, nothing, open_bank, total
from services.topups import examples

AUTO_BELOW_MINOR = 2_000
"""Automatic top-up starts below this balance (GBP) unless the app says otherwise."""
AUTO_AMOUNT_MINOR = 5_000
"""What an automatic top-up adds (GBP) unless the app says otherwise."""

topups = Agent("topups", "Topping up the account by card, transfer, cash or cheque; limits, failures, automatic")
topups.resources(open_bank)


@topups.skill("automatic top-up", examples=examples.AUTOMATIC)
@for_customer
async def automatic(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Switch automatic top-up on or off where that is asked for; else tell how it stands."""
    account = await turn.step("account", bank.account, customer.id)
    rule = f"{money(AUTO_AMOUNT_MINOR, 'GBP')} whenever the balance falls below {money(AUTO_BELOW_MINOR, 'GBP')}"
    if mentions(turn, "switch", "turn", "enable", "set", "disable", "stop"):
        is_off = mentions(turn, "off", "disable", "stop")
        below_minor, amount_minor = (0, 0) if is_off else (AUTO_BELOW_MINOR, AUTO_AMOUNT_MINOR)
        await turn.step("switch", bank.set_auto_top_up, customer.id, below_minor, amount_minor, effect="keyed")
        return Answer("Automatic top-up is off." if is_off else f"Automatic top-up is on: {rule}.")
    if account.top_up_below_minor:
        return Answer(f"Automatic top-up is on: {rule}. Your balance is {account.balance}.")
    return Answer(f"Automatic top-up is off; say `switch it on` for {rule}. Your balance is {account.balance}.")


@topups.skill("pending top-up", examples=examples.PENDING)
@for_customer
async def pending(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say why a top-up is pending, and until when."""
    waiting = await find(turn, bank, customer, "top_up", "pending")
    if waiting is None:
        return nothing(customer, "no pending top-up")
    return Answer(f"Your top-up of {waiting.label} is pending: {waiting.reason}. Expected by {waiting.due_on}.")


@topups.skill("fee for a top-up by transfer", examples=examples.TRANSFER_FEE)
@for_customer
async def transfer_fee(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Tell what arrives of a transfer."""
    fee = await turn.step("fee", bank.tariff, "top_up_fee_transfer")
    last = await find(turn, bank, customer, "transfer_in", "completed")
    got = f" Your latest, {last.label}, cost {last.fee}." if last else ""
    return Answer(f"We take nothing for money that comes in: {fee.terms}.{got}")


@topups.skill("fee for a top-up by card", examples=examples.CARD_FEE)
@for_customer
async def card_fee(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Tell what a top-up by card costs."""
    home = await turn.step("home", bank.tariff, "top_up_fee_card")
    foreign = await turn.step("foreign", bank.tariff, "top_up_fee_card_foreign")
    last = await find(turn, bank, customer, "top_up", "completed")
    paid = f" Your latest, {last.label}, cost {last.fee}." if last else ""
    return Answer(f"Topping up is free with {home.terms}; {foreign.terms} cost {foreign.percent}.{paid}")


@topups.skill("top up with cash or a cheque", examples=examples.CASH_OR_CHEQUE)
@for_customer
async def cash_or_cheque(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Tell how cash and cheques come onto the account."""
    ways = await turn.step("ways", bank.tariff, "top_up_cash")
    days = await turn.step("days", bank.tariff, "deposit_days")
    account = await turn.step("account", bank.account, customer.id)
    return Answer(f"Yes: {ways.terms}; {days.terms}. Name {account.iban} on the cheque.")


@topups.skill("failed top-up", examples=examples.FAILED)
@for_customer
async def failed(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say why a top-up failed."""
    broken = await find(turn, bank, customer, "top_up", "failed")
    if broken is None:
        return nothing(customer, "no failed top-up")
    return Answer(f"Your top-up of {broken.label} failed: {broken.reason}. No money was taken; try it again.")


@topups.skill("top-up limits", examples=examples.LIMITS)
@for_customer
async def limits(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Tell the limit, and what today's top-ups use of it."""
    limit = await turn.step("limit", bank.tariff, "top_up_limit")
    added = await turn.step("added", bank.transactions, customer.id, "top_up")
    today = [one for one in added if one.booked_on == TODAY and one.status in ("pending", "completed")]
    return Answer(f"You can top up {limit.amount} {limit.terms}. Today so far: {total(today)}.")


@topups.skill("reverted top-up", examples=examples.REVERTED)
@for_customer
async def reverted(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say why a top-up was taken back."""
    undone = await find(turn, bank, customer, "top_up", "reverted")
    if undone is None:
        return nothing(customer, "no reverted top-up")
    return Answer(f"Your top-up of {undone.label} was reverted: {undone.reason}. The money is back on that card.")


@topups.skill("top up by card", examples=examples.BY_CARD)
@for_customer
async def by_card(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Tell how a card tops up, and how the latest top-ups stand."""
    networks = await turn.step("networks", bank.tariff, "top_up_card_networks")
    added = await turn.step("added", bank.transactions, customer.id, "top_up")
    return Answer(
        f"In the app under top up, with {networks.terms}; friends pay in by a transfer to you. "
        f"Your latest: {listed(added)}."
    )


@topups.skill("verify a top-up", examples=examples.VERIFY)
@for_customer
async def verify(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Send the link that proves the top-up card is the customer's."""
    last = await find(turn, bank, customer, "top_up")
    receipt = await turn.step("link", bank.send_link, customer.id, "top-up card check", effect="keyed")
    used = f" of {last.counterparty.lower()}" if last else ""
    return Answer(
        f"The code stands beside the small charge in the statement{used}. Enter it behind the link we sent: "
        f"{receipt.detail}."
    )


@topups.turn
@for_customer
async def go_on(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Answer a follow-up, or what no skill fits, from the latest top-ups and the balance."""
    added = await turn.step("added", bank.transactions, customer.id, "top_up")
    account = await turn.step("account", bank.account, customer.id)
    return Answer(f"Your latest top-ups: {listed(added)}. Your balance is {account.balance}.")
