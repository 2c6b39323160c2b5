"""What the desk's agents share: the open bank, who the customer is, and which record they mean.

In: a turn. Out: the bank, the customer and the records that a skill's handler works with.
"""

import asyncio
import functools
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from baton import Answer, Ask, Handoff, Turn
from services.bank import Bank
from services.bank.records import Customer, Transaction, money

Outcome: TypeAlias = Answer | Handoff | Ask
Handler: TypeAlias = Callable[[Turn], Awaitable[Outcome]]
CustomerHandler: TypeAlias = Callable[[Turn, Bank, Customer], Awaitable[Outcome]]

# At most 12 digits: more are no amount, and an unbounded run would cost quadratic time.
_AMOUNT = re.compile(r"(?<![\d,])\d[\d,]{0,11}(?:\.\d\d)?(?!\d)")
_GENERAL = re.compile(r"(how|what|when|where|which|is it|is there|can i|could i|may i)\b")
_WORD = re.compile(r"[a-z']+")
_NAME_LENGTH_MIN = 4
"""Shorter words of counterparties (`and`, `Ltd`) name nobody."""
_COMMON = frozenset({"cash", "machine", "card", "debit", "ending", "cheque", "station", "street", "top", "automatic"})
"""Words of counterparties that customers use for something else."""


@asynccontextmanager
async def open_bank() -> AsyncIterator[Bank]:
    """Open the bank of `DESK_BANK_URL` for one agent of this process.

    Raises:
        BankUrlError: It cannot be opened.
    """
    bank = await asyncio.to_thread(Bank.from_env)
    try:
        yield bank
    finally:
        await asyncio.to_thread(bank.close)


def for_customer(handler: CustomerHandler) -> Handler:
    """Make a turn of a handler that needs to know the customer.

    The fact `customer` names them; for a demonstration `DESK_CUSTOMER` does where the fact is missing.
    Without, or with an unknown one, the answer says so: the desk takes an identity from whoever
    accepted the request, never from what a message claims.
    """

    @functools.wraps(handler)
    async def take(turn: Turn) -> Outcome:
        bank: Bank = turn.resources
        who = turn.facts.get("customer") or os.environ.get("DESK_CUSTOMER")
        if not isinstance(who, str) or not who:
            text = "I cannot look that up: the request does not say who you are (the fact `customer`)."
            return Answer(text, data={"missing": ["customer"]}, release=True)
        customer = await turn.step("customer", bank.find_customer, who)
        if customer is None:
            text = f"The bank has no customer {who!r}, so there is nothing I can look up."
            return Answer(text, data={"unknown": {"customer": who}}, release=True)
        return await handler(turn, bank, customer)

    return take


def said(turn: Turn) -> str:
    """Return what the customer wrote, with the reply to a question where there is one; lower case."""
    return f"{turn.text} {turn.reply or ''}".lower()


def mentions(turn: Turn, *beginnings: str) -> bool:
    """Return whether a word of the customer's begins with one of these (lower case, `steal`)."""
    return any(word.startswith(beginnings) for word in _WORD.findall(said(turn)))


def is_general(turn: Turn) -> bool:
    """Return whether the customer asks how something is done, rather than asking to have it done."""
    return turn.reply is None and _GENERAL.match(turn.text.strip().lower()) is not None


def amounts(text: str) -> set[int]:
    """Return the amounts in a text as minor units: `180` and `180.00` are both 18000."""
    return {round(float(found.replace(",", "")) * 100) for found in _AMOUNT.findall(text)}


def named(text: str, transactions: Sequence[Transaction]) -> Transaction | None:
    """Return the transaction whose counterparty or amount stands in a text, or None.

    The counterparty counts before the amount, an earlier transaction of the list before a later one.
    """
    words = set(_WORD.findall(text.lower()))
    for one in transactions:
        names = _WORD.findall(one.counterparty.lower())
        if any(name in words for name in names if len(name) >= _NAME_LENGTH_MIN and name not in _COMMON):
            return one
    numbers = amounts(text)
    return next((one for one in transactions if one.amount_minor in numbers), None)


async def find(
    turn: Turn, bank: Bank, customer: Customer, kind: str, status: str = "", *, flag: str | None = None
) -> Transaction | None:
    """Return the transaction that the customer means, or the newest one, or None.

    Args:
        turn: The lookup is a step of it, named after `kind`, `status` and `flag`.
        bank: The open bank.
        customer: Whose transactions.
        kind: As for `Lookups.transactions`.
        status: As for `Lookups.transactions`.
        flag: As for `Lookups.transactions`.
    """
    key = " ".join(part for part in (kind, status, flag) if part)
    found = await turn.step(key, bank.transactions, customer.id, kind, status, flag)
    return named(said(turn), found) or (found[0] if found else None)


def listed(transactions: Sequence[Transaction], limit_count: int = 3) -> str:
    """Return up to `limit_count` transactions with their states, as one line; `none` for none."""
    return "; ".join(f"{one.label} ({one.status})" for one in transactions[:limit_count]) or "none"


def nothing(customer: Customer, what: str) -> Answer:
    """Answer that the records hold nothing of the kind."""
    return Answer(f"{customer.first_name}, I see {what} on your accounts, so there is nothing to act on.")


def total(transactions: Sequence[Transaction], currency: str = "GBP") -> str:
    """Return the sum of the transactions in one currency, as text."""
    return money(sum(one.amount_minor for one in transactions if one.currency == currency), currency)
