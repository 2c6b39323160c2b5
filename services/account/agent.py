"""The agent `account`: identity, personal details, access to the app, opening and closing.

In: requests about the account as a whole. Out: answers from the bank's records, links and locks, a
handoff to `cards` where cards went with the phone, or to a person where money is on a closing account.
"""

from baton import Agent, Answer, Ask, Handoff, Turn
from services.account import examples
from services.bank import Bank
from services.bank.records import Customer
from services.counter import Outcome, for_customer, listed, mentions, open_bank

account = Agent("account", "Identity checks, personal details, passcode, lost phone, eligibility, closing the account")
account.resources(open_bank)


@account.skill("age limit", examples=examples.AGE)
@for_customer
async def age(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Tell the age limit."""
    limit = await turn.step("limit", bank.tariff, "age_limit")
    accounts = await turn.step("accounts", bank.accounts, customer.id)
    return Answer(f"The age limit: {limit.terms}. A junior account is opened beside your {accounts[0].iban}.")


@account.skill("supported countries", examples=examples.COUNTRIES)
@for_customer
async def countries(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Tell where accounts and cards are offered."""
    served = await turn.step("countries", bank.tariff, "countries")
    return Answer(f"Accounts and cards are for people living in {served.terms}. On file for you: {customer.country}.")


@account.skill("change personal details", examples=examples.DETAILS)
@for_customer
async def details(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Tell what is on file, and send the link to change it."""
    receipt = await turn.step("link", bank.send_link, customer.id, "change of details", effect="keyed")
    return Answer(
        f"On file: {customer.name}, {customer.address}, {customer.city}, {customer.phone}. "
        f"Change it behind the link we sent: {receipt.detail}. A new name needs a document."
    )


@account.skill("lost or stolen phone", examples=examples.LOST_PHONE)
@for_customer
async def lost_phone(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Lock the app; where cards are gone too, `cards` goes on."""
    locked = await turn.step("lock", bank.lock_app, customer.id, effect="keyed")
    if mentions(turn, "wallet", "card", "everything", "handbag", "purse"):
        facts = {"app": "locked", "freeze": "stolen"}
        return Handoff("cards", reason="the app is locked; the cards are gone as well", facts=facts)
    verb = "is" if locked.changed else "was already"
    receipt = await turn.step("link", bank.send_link, customer.id, "sign in on a new phone", effect="keyed")
    return Answer(f"Your app {verb} locked on every device. When you have a phone: {receipt.detail}.")


@account.skill("forgotten passcode", examples=examples.PASSCODE)
@for_customer
async def passcode(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Send the link for a new passcode."""
    receipt = await turn.step("link", bank.send_link, customer.id, "new passcode", effect="keyed")
    return Answer(f"We sent a link ({receipt.detail}); it is good for 30 minutes. Your app is {customer.app}.")


@account.skill("close the account", examples=examples.CLOSE)
@for_customer
async def close(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Close empty accounts once the customer confirms; money on them is for a person."""
    accounts = await turn.step("accounts", bank.accounts, customer.id)
    left = [one.balance for one in accounts if one.status == "open" and one.balance_minor != 0]
    if left:
        reason = f"{customer.name} wants to close the account; it holds {' and '.join(left)}"
        return Handoff("human", reason=reason, facts={"closing": True, "balances": left})
    if all(one.status == "closed" for one in accounts):
        return Answer("Your account is closed already.")
    if turn.reply is None:
        return Ask("Your account is empty. Shall I close it for good?", options=["yes", "no"])
    if not turn.reply.strip().lower().startswith("y"):
        return Answer("Nothing was changed; your account stays open.")
    receipt = await turn.step("close", bank.close_account, customer.id, effect="keyed")
    return Answer(f"It is closed: {receipt.detail}. Thank you for having been with us, {customer.first_name}.")


@account.skill("identity check failed", examples=examples.CANNOT_VERIFY)
@for_customer
async def cannot_verify(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say why the check failed, and start a new one."""
    check = await turn.step("check", bank.identity_check, customer.id)
    if check is not None and check.status != "failed":
        return Answer(f"Your identity check {check.id} of {check.started_on} stands at: {check.status}.")
    why = f"The check {check.id} of {check.started_on} failed: {check.reason}." if check else "No check was made yet."
    receipt = await turn.step("start", bank.start_identity_check, customer.id, effect="keyed")
    return Answer(f"{why} A new one is started ({receipt.reference}): photograph the document again in daylight.")


@account.skill("verify identity", examples=examples.VERIFY)
@for_customer
async def verify(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Start an identity check, or tell how the last one stands."""
    documents = await turn.step("documents", bank.tariff, "identity_documents")
    receipt = await turn.step("start", bank.start_identity_check, customer.id, effect="keyed")
    return Answer(f"{receipt.detail.capitalize()} ({receipt.reference}, {receipt.date}). It takes {documents.terms}.")


@account.skill("source of funds", examples=examples.SOURCE_OF_FUNDS)
@for_customer
async def source_of_funds(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """List where the customer's money came from."""
    received = await turn.step("received", bank.transactions, customer.id, "transfer_in", "completed")
    added = await turn.step("added", bank.transactions, customer.id, "top_up", "completed")
    told = listed([*received, *added], 5)
    return Answer(f"Money that came in: {told}. A payslip or contract proves a source; send it in the app.")


@account.skill("why identity is checked", examples=examples.WHY_VERIFY)
@for_customer
async def why_verify(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Tell why identities are checked, and how the customer's own check stands."""
    why = await turn.step("why", bank.tariff, "identity_reason")
    check = await turn.step("check", bank.identity_check, customer.id)
    stands = f"Yours stands at: {check.status}" if check else "Yours has not been started"
    return Answer(f"Here is why: {why.terms} ({why.amount}). {stands}.")


@account.turn
@for_customer
async def go_on(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Answer a follow-up, or what no skill fits, from the customer's state."""
    accounts = await turn.step("accounts", bank.accounts, customer.id)
    check = await turn.step("check", bank.identity_check, customer.id)
    held = ", ".join(f"{one.balance} ({one.status})" for one in accounts)
    return Answer(f"You hold {held}; the app is {customer.app}; identity check: {check.status if check else 'none'}.")
