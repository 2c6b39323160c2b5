"""The agent `exchange`: currencies, rates and exchanging money.

In: requests about exchange, and handoffs from `transfers` with the transaction that was converted.
Out: answers from the bank's records and rates, and exchanges between a customer's accounts.
"""

import re

from baton import Agent, Answer, Turn
from services.bank import Bank
from services.bank.records import Customer, Rate, Transaction, money, rate_text
from services.counter import Outcome, find, for_customer, nothing, open_bank, said
from services.exchange import examples

exchange = Agent("exchange", "Currencies and exchange: rates, charges, supported currencies, exchanging in the app")
exchange.resources(open_bank)

_ORDER = re.compile(r"(?<![\d,])(\d[\d,]{0,11}(?:\.\d\d)?)\s*([a-z]+)\s+(?:to|into|for|in)\s+([a-z]+)")
_CODES = {
    **dict.fromkeys(("gbp", "pound", "pounds", "sterling", "quid"), "GBP"),
    **dict.fromkeys(("eur", "euro", "euros"), "EUR"),
    **dict.fromkeys(("usd", "dollar", "dollars"), "USD"),
    **dict.fromkeys(("chf", "franc", "francs"), "CHF"),
    **dict.fromkeys(("sek", "krona", "kronor"), "SEK"),
    **dict.fromkeys(("aud",), "AUD"),
}
"""Words for currencies, as customers write them."""


@exchange.skill("wrong exchange rate for a card payment", examples=examples.PAYMENT_RATE)
@for_customer
async def payment_rate(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Compare the rate of a foreign payment with today's."""
    return await compare(turn, bank, customer, "card_payment")


@exchange.skill("fee for exchanging money", examples=examples.EXCHANGE_FEE)
@for_customer
async def exchange_fee(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Tell the fee, and what the customer has exchanged so far."""
    fee = await turn.step("fee", bank.tariff, "exchange_fee")
    done = await find(turn, bank, customer, "exchange", "completed")
    last = f" Your latest exchange: {done.amount} to {done.foreign}, fee {done.fee}." if done else ""
    return Answer(f"Exchanging costs {fee.percent} {fee.terms}; large amounts get no discount.{last}")


@exchange.skill("exchange rates", examples=examples.RATES)
async def rates(turn: Turn) -> Outcome:
    """Tell today's rates: of the currencies that are asked for, or all. Anybody may know them."""
    bank: Bank = turn.resources
    found = await turn.step("rates", bank.rates)
    wanted = {code for word, code in _CODES.items() if re.search(rf"\b{word}\b", said(turn))} - {"GBP"}
    chosen = [rate for rate in found if rate.quote in wanted] or found
    return Answer(f"Today: {told(chosen)}. They follow the interbank rate and change every working day.")


@exchange.skill("exchange money in the app", examples=examples.EXCHANGE)
@for_customer
async def in_app(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Exchange what a message orders with amount and currencies; else tell how, and the rates."""
    accounts = await turn.step("accounts", bank.accounts, customer.id)
    balances = {one.currency: one for one in accounts}
    held = ", ".join(one.balance for one in accounts)
    order = ordered(said(turn))
    if order is None:
        today = await turn.step("rates", bank.rates)
        return Answer(
            f"In the app under exchange, or here: say `exchange 50 GBP to EUR`. You hold {held}. {told(today)}."
        )
    amount_minor, base, quote = order
    today = await turn.step("rates", bank.rates, base)
    is_covered = base in balances and balances[base].balance_minor >= amount_minor > 0
    if not is_covered or quote not in balances or quote not in {rate.quote for rate in today}:
        return Answer(f"I cannot exchange {money(amount_minor, base)} to {quote}: you hold {held}.")
    receipt = await turn.step("exchange", bank.exchange, customer.id, amount_minor, base, quote, effect="keyed")
    rate = next(rate for rate in today if rate.quote == quote)
    return Answer(f"{money(amount_minor, base)} is exchanged to {receipt.amount} ({rate.label}).")


@exchange.skill("currencies that can be held", examples=examples.CURRENCIES)
@for_customer
async def currencies(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Tell the supported currencies, and which the customer holds."""
    supported = await turn.step("currencies", bank.tariff, "currencies")
    accounts = await turn.step("accounts", bank.accounts, customer.id)
    held = ", ".join(one.balance for one in accounts)
    return Answer(f"You can hold and exchange {supported.terms}. You hold {held} now.")


@exchange.skill("supported cards and currencies for adding money", examples=examples.CARDS_AND_CURRENCIES)
@for_customer
async def cards_and_currencies(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Tell with which cards and currencies money is added."""
    networks = await turn.step("networks", bank.tariff, "top_up_card_networks")
    supported = await turn.step("currencies", bank.tariff, "currencies")
    foreign = await turn.step("foreign", bank.tariff, "top_up_fee_card_foreign")
    last = await find(turn, bank, customer, "top_up", "completed")
    used = f" You last used: {last.counterparty}." if last else ""
    return Answer(
        f"Add money with {networks.terms}, in {supported.terms}; {foreign.terms} cost {foreign.percent}.{used}"
    )


@exchange.skill("wrong exchange rate for a cash withdrawal", examples=examples.CASH_RATE)
@for_customer
async def cash_rate(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Compare the rate of a withdrawal abroad with today's."""
    return await compare(turn, bank, customer, "withdrawal")


@exchange.turn
@for_customer
async def go_on(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Explain the conversion that another agent found, or answer a follow-up with today's rates."""
    transaction = turn.facts.get("transaction")
    if isinstance(transaction, str) and turn.from_agent == "transfers":
        converted = await turn.step("transaction", bank.transaction_of, customer.id, transaction)
        return Answer(await explained(turn, bank, converted), data={"transaction": converted.id})
    found = await turn.step("rates", bank.rates)
    return Answer(f"Today: {told(found)}.")


async def compare(turn: Turn, bank: Bank, customer: Customer, kind: str) -> Outcome:
    """Explain the newest converted transaction of a kind."""
    done = await turn.step(kind, bank.transactions, customer.id, kind, "completed")
    converted = [one for one in done if one.rate_millionths]
    if not converted:
        return nothing(customer, "no conversion")
    return Answer(await explained(turn, bank, converted[0]))


async def explained(turn: Turn, bank: Bank, converted: Transaction) -> str:
    """Return how a transaction was converted, beside today's rate."""
    found = await turn.step("today", bank.rates, converted.currency)
    today = next((rate.label for rate in found if rate.quote == converted.foreign_currency), "no rate today")
    rate = f"1 {converted.currency} = {rate_text(converted.rate_millionths)} {converted.foreign_currency}"
    return (
        f"{converted.label} became {converted.foreign} at the rate of that day, {rate} (today: {today}), and "
        f"{converted.fee} was taken as a fee."
    )


def ordered(text: str) -> tuple[int, str, str] | None:
    """Return the amount (minor units) and currencies of `50 gbp to eur` in a lower-case text, or None."""
    for amount, base, quote in _ORDER.findall(text):
        if base in _CODES and quote in _CODES and base != quote:
            return round(float(amount.replace(",", "")) * 100), _CODES[base], _CODES[quote]
    return None


def told(found: list[Rate]) -> str:
    """Return rates as one line."""
    return ", ".join(rate.label for rate in found)
