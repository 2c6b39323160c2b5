"""The agent `transfers`: bank transfers in and out.

In: requests about transfers. Out: answers from the bank's records, cancelled transfers, cases for
missing ones, or a handoff to `exchange` where a conversion explains the amount.
"""

from baton import Agent, Answer, Handoff, Turn
from services.bank import Bank
from services.bank.records import Customer
from services.counter import (
    Outcome,
    find,
    for_customer,
    is_general,
    listed,
    mentions,
    named,
    nothing,
    open_bank,
    said,
)
from services.transfers import examples

transfers = Agent("transfers", "Bank transfers in and out: timing, fees, cancelling, failed or missing transfers")
transfers.resources(open_bank)


@transfers.skill("cancel a transfer", examples=examples.CANCEL)
@for_customer
async def cancel(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Take a pending transfer back; a question how that is done moves nothing."""
    sent = await turn.step("sent", bank.transactions, customer.id, "transfer_out")
    pending = [one for one in sent if one.status == "pending"]
    chosen = named(said(turn), pending) or (pending[0] if pending else None)
    if chosen is None:
        told = listed(sent)
        return Answer(f"None of your transfers is pending, so none can be cancelled. The latest: {told}.")
    if is_general(turn) and named(said(turn), pending) is None:
        return Answer(f"Yes, while it is pending: say `cancel it` and I take back {chosen.label}.")
    receipt = await turn.step("cancel", bank.cancel_transfer, chosen.id, effect="keyed")
    return Answer(
        f"Your transfer of {chosen.label} is cancelled; {receipt.amount} is back on your account.",
        data={"transaction": chosen.id},
    )


@transfers.skill("declined transfer", examples=examples.DECLINED)
@for_customer
async def declined(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say why a transfer was declined."""
    refused = await find(turn, bank, customer, "transfer_out", "declined")
    if refused is None:
        return nothing(customer, "no declined transfer")
    return Answer(f"Your transfer of {refused.label} was declined: {refused.reason}. The money is on your account.")


@transfers.skill("failed transfer", examples=examples.FAILED)
@for_customer
async def failed(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say why a transfer failed."""
    broken = await find(turn, bank, customer, "transfer_out", "failed")
    if broken is None:
        return nothing(customer, "no failed transfer")
    return Answer(f"Your transfer of {broken.label} failed: {broken.reason}. Correct that and send it again.")


@transfers.skill("pending transfer", examples=examples.PENDING)
@for_customer
async def pending(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say how long a transfer stays pending."""
    moved = await turn.step("pending", bank.transactions, customer.id, "", "pending")
    ours = [one for one in moved if one.kind in ("transfer_out", "transfer_in")]
    if not ours:
        return nothing(customer, "no pending transfer")
    told = "; ".join(f"{one.label}: {one.reason}, due {one.due_on}" for one in ours)
    return Answer(f"Pending transfers of yours: {told}.")


@transfers.skill("transfer not received by recipient", examples=examples.NOT_RECEIVED)
@for_customer
async def not_received(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say where a sent transfer is, and have a finished one traced."""
    sent = await turn.step("sent", bank.transactions, customer.id, "transfer_out")
    done = [one for one in sent if one.status in ("completed", "pending")]
    if not done:
        return nothing(customer, "no transfer to anybody")
    chosen = named(said(turn), done) or next((one for one in done if one.status == "completed"), done[0])
    if chosen.status == "pending":
        return Answer(f"Your transfer of {chosen.label} is pending: {chosen.reason}; it arrives by {chosen.due_on}.")
    receipt = await turn.step("trace", bank.open_case, customer.id, "missing transfer", chosen.id, effect="keyed")
    where = f" was {chosen.reason}" if chosen.reason else " left us"
    return Answer(
        f"Your transfer of {chosen.label}{where}. Case {receipt.reference} traces it; you hear from us by "
        f"{receipt.date}.",
        data={"case": receipt.reference, "transaction": chosen.id},
    )


@transfers.skill("how long a transfer takes", examples=examples.TIMING)
@for_customer
async def timing(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say how long transfers take, and when the customer's own pending ones end."""
    domestic = await turn.step("domestic", bank.tariff, "transfer_time_domestic")
    sepa = await turn.step("sepa", bank.tariff, "transfer_time_sepa")
    swift = await turn.step("swift", bank.tariff, "transfer_time_swift")
    coming = await turn.step("coming", bank.transactions, customer.id, "transfer_in", "pending")
    yours = f" {coming[0].counterparty}'s transfer to you is due {coming[0].due_on}." if coming else ""
    return Answer(f"Transfers take: at home {domestic.terms}; {sepa.terms}; {swift.terms}.{yours}")


@transfers.skill("fee for a transfer", examples=examples.FEE)
@for_customer
async def fee(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Explain a transfer's fee; where there is none but a conversion, that is for `exchange`."""
    sent = await turn.step("sent", bank.transactions, customer.id, "transfer_out", "completed")
    chosen = named(said(turn), sent)
    if chosen is None:
        chosen = next((one for one in sent if one.fee_minor or one.rate_millionths), None)
    if chosen is not None and not chosen.fee_minor and chosen.rate_millionths:
        reason = f"no fee was taken on {chosen.label}; it was converted on the way"
        return Handoff("exchange", reason=reason, facts={"transaction": chosen.id})
    free = await turn.step("free", bank.tariff, "transfer_fee_sepa")
    swift = await turn.step("swift", bank.tariff, "transfer_fee_swift")
    rule = f"{free.terms}; {swift.amount} for {swift.terms}"
    if chosen is None or not chosen.fee_minor:
        return Answer(f"None of your transfers carries a fee: {rule}.")
    return Answer(f"Your transfer of {chosen.label} carries {chosen.fee} ({chosen.reason}): {rule}.")


@transfers.skill("beneficiary not allowed", examples=examples.BENEFICIARY)
@for_customer
async def beneficiary(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say which beneficiaries are refused, and why."""
    refused = await turn.step("refused", bank.beneficiaries, customer.id, "refused")
    if not refused:
        return nothing(customer, "no refused beneficiary")
    told = "; ".join(f"{one.name}: {one.reason}" for one in refused)
    return Answer(f"You cannot pay {told}. All your other beneficiaries are allowed.")


@transfers.skill("receive money or a salary", examples=examples.RECEIVING)
@for_customer
async def receiving(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Give the account details that a sender needs."""
    accounts = await turn.step("accounts", bank.accounts, customer.id)
    currencies = await turn.step("currencies", bank.tariff, "currencies")
    told = "; ".join(f"{one.currency}: {one.iban}" for one in accounts)
    return Answer(
        f"Senders need your name, {customer.name}, and: {told}. Salaries come in like any transfer, in "
        f"{currencies.terms}; a currency you hold no account in is converted to GBP."
    )


@transfers.skill("transfer money into the account", examples=examples.INTO_ACCOUNT)
@for_customer
async def into_account(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Give the details for a transfer to oneself."""
    account = await turn.step("account", bank.account, customer.id)
    domestic = await turn.step("domestic", bank.tariff, "transfer_time_domestic")
    return Answer(
        f"Send it from your other bank to {account.iban} (name {customer.name}); it arrives "
        f"{domestic.terms}. Your balance now: {account.balance}."
    )


@transfers.skill("balance not updated after a bank transfer", examples=examples.NOT_ARRIVED)
@for_customer
async def not_arrived(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say what is known of a transfer that should have arrived."""
    coming = await find(turn, bank, customer, "transfer_in", "pending")
    if coming is None:
        last = await find(turn, bank, customer, "transfer_in", "completed")
        told = f"The latest that arrived: {last.label}." if last else "None has ever arrived."
        return Answer(f"No transfer to you is announced. {told}")
    return Answer(f"A transfer of {coming.label} is {coming.reason}; we expect it by {coming.due_on}.")


@transfers.turn
@for_customer
async def go_on(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Answer a follow-up, or what no skill fits, from the latest transfers."""
    sent = await turn.step("sent", bank.transactions, customer.id, "transfer_out")
    received = await turn.step("received", bank.transactions, customer.id, "transfer_in")
    chosen = named(said(turn), [*sent, *received])
    if chosen is not None and not mentions(turn, "all", "list"):
        why = f": {chosen.reason}" if chosen.reason else ""
        return Answer(f"Your transfer of {chosen.label} is {chosen.status}{why}.")
    return Answer(f"Sent: {listed(sent)}. Received: {listed(received)}.")
