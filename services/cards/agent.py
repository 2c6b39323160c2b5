"""The agent `cards`: freezes, activates, orders and explains cards and PINs.

In: requests about cards, and handoffs from `cash`, `payments` and `account`. Out: answers from the bank's
records, or a handoff to `disputes` where a payment has to be looked into.
"""

from baton import Agent, Answer, Handoff, Turn
from services.bank import Bank
from services.bank.records import Card, Customer, Order
from services.cards import examples
from services.counter import Outcome, find, for_customer, mentions, nothing, open_bank, said

cards = Agent("cards", "Ordering, activating, replacing and freezing cards; PIN, wallets, virtual cards")
cards.resources(open_bank)


@cards.skill("lost or stolen card", examples=examples.LOST)
@for_customer
async def lost(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Freeze the card; then either the payments made with it, or a replacement."""
    card = await main_card(turn, bank, customer)
    if card is None:
        return nothing(customer, "no card")
    why = "stolen" if mentions(turn, "stole", "thie", "robb", "took", "pickpocket", "mugg") else "lost"
    frozen = await freeze(turn, bank, card, why)
    if mentions(turn, "payment", "charge", "transaction", "purchase", "spen"):
        return to_disputes(card, why, reason=f"{why} card, and payments the customer did not make")
    return await replaced(turn, bank, card, frozen)


@cards.skill("card used by someone else", examples=examples.COMPROMISED)
@for_customer
async def compromised(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Freeze the card; hand unusual payments to disputes, else replace the card."""
    card = await main_card(turn, bank, customer)
    if card is None:
        return nothing(customer, "no card")
    frozen = await freeze(turn, bank, card, "compromised")
    unusual = await find(turn, bank, customer, "card_payment", "completed", flag="unusual")
    if unusual is not None:
        return to_disputes(card, "compromised", reason="somebody else uses the card", transaction=unusual.id)
    return await replaced(turn, bank, card, frozen)


@cards.skill("card swallowed by a cash machine", examples=examples.SWALLOWED)
@for_customer
async def swallowed(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Block the card where it is, and send a new one."""
    card = await main_card(turn, bank, customer)
    if card is None:
        return nothing(customer, "no card")
    return await replaced(turn, bank, card, await freeze(turn, bank, card, "retained"))


@cards.skill("activate or link a card", examples=examples.ACTIVATE)
@cards.skill("unfreeze a card that was found again", examples=examples.FOUND)
@for_customer
async def activate(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Activate a new card, or free a frozen one that was found."""
    held = await turn.step("cards", bank.cards, customer.id, "physical")
    idle = [card for card in held if card.status == "inactive"]
    found = [card for card in held if card.status == "frozen"]
    is_found = mentions(turn, "found", "find", "reactivat", "unfreez", "turned", "back", "again")
    chosen = (found if is_found and found else idle) or found
    if not chosen:
        have = "; ".join(f"your {card.label} is {card.state}" for card in held) or "you have no card yet"
        return Answer(f"There is no card to activate: {have}. Active cards show in the app by themselves.")
    receipt = await turn.step("activate", bank.activate_card, chosen[0].id, effect="keyed")
    return Answer(f"Your {chosen[0].label} is active since {receipt.date} and shows in the app; pay with it at once.")


@cards.skill("card delivery and tracking", examples=examples.ARRIVAL)
@for_customer
async def arrival(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say where an ordered card is."""
    orders = await turn.step("orders", bank.orders, customer.id)
    express = await turn.step("express", bank.tariff, "card_express_fee")
    if not orders:
        return Answer(
            f"No card is on its way to you. A new one takes 4 working days. For {express.amount}: {express.terms}."
        )
    return Answer(f"{on_its_way(orders[0])} For {express.amount}: {express.terms}.")


@cards.skill("order a physical card", examples=examples.ORDER)
@for_customer
async def order(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Order the first card; whoever has one is told what they have, and the prices."""
    held = await turn.step("cards", bank.cards, customer.id, "physical")
    fee = await turn.step("fee", bank.tariff, "card_new_fee")
    if not held:
        receipt = await turn.step("order", bank.order_card, customer.id, "new", "Visa", effect="keyed")
        return Answer(
            f"Your first Visa card is ordered ({receipt.reference}), free of charge. It comes to "
            f"{customer.address}, {customer.city} by {receipt.date}."
        )
    spare = await turn.step("spare", bank.tariff, "card_spare_fee")
    return Answer(
        f"You have a {held[0].label} ({held[0].status}). In general {fee.terms}. "
        f"Another card costs {spare.amount}; I send it if you ask for a spare card."
    )


@cards.skill("spare card or card for the family", examples=examples.SPARE)
@for_customer
async def spare_card(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Order a further card where that was asked for, else tell the terms."""
    fee = await turn.step("fee", bank.tariff, "card_spare_fee")
    held = await turn.step("cards", bank.cards, customer.id, "physical")
    if not mentions(turn, "send", "order", "please"):
        return Answer(f"Yes: {fee.terms}, {fee.amount} each. You have {len(held)} now; say `please send one`.")
    network = held[0].network if held else "Visa"
    receipt = await turn.step("order", bank.order_card, customer.id, "spare", network, effect="keyed")
    verb = "is ordered" if receipt.changed else "was ordered before"
    return Answer(f"A spare {network} card {verb} ({receipt.reference}, {fee.amount}) and comes by {receipt.date}.")


@cards.skill("visa or mastercard", examples=examples.NETWORK)
@for_customer
async def network(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say which network the customer's cards have."""
    held = await turn.step("cards", bank.cards, customer.id)
    fee = await turn.step("fee", bank.tariff, "card_spare_fee")
    have = ", ".join(card.label for card in held) or "no card yet"
    return Answer(f"We issue Visa and Mastercard; you have: {have}. A card of the other kind costs {fee.amount}.")


@cards.skill("where the card is accepted", examples=examples.ACCEPTED)
@for_customer
async def accepted(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say where the customer's card can be used."""
    card = await main_card(turn, bank, customer)
    terms = await turn.step("terms", bank.tariff, "card_acceptance")
    mine = f"Your {card.label} ({card.status})" if card else "A card of ours"
    return Answer(f"{mine} is taken, at home, abroad and online, by {terms.terms}.")


@cards.skill("card about to expire", examples=examples.EXPIRING)
@for_customer
async def expiring(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say when the card expires, and order the renewal if none is on its way."""
    card = await main_card(turn, bank, customer)
    if card is None:
        return nothing(customer, "no card")
    terms = await turn.step("terms", bank.tariff, "card_renewal_fee")
    orders = await turn.step("orders", bank.orders, customer.id)
    renewal = next((one for one in orders if one.kind == "renewal"), None)
    if renewal is not None:
        return Answer(f"Your {card.label} is good until the end of {card.expires}. {on_its_way(renewal)}")
    receipt = await turn.step("renewal", bank.order_card, customer.id, "renewal", card.network, effect="keyed")
    return Answer(
        f"Your {card.label} is good until the end of {card.expires}; {terms.terms}. I have ordered yours now "
        f"({receipt.reference}): it is free and comes by {receipt.date}."
    )


@cards.skill("card or contactless not working", examples=examples.NOT_WORKING)
@for_customer
async def not_working(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say what the records know of the card's trouble; replace a damaged one."""
    card = await main_card(turn, bank, customer)
    if card is None:
        return nothing(customer, "no card")
    if mentions(turn, "broken", "damag", "crack", "chip", "bent"):
        receipt = await turn.step(
            "replacement", bank.order_card, customer.id, "replacement", card.network, effect="keyed"
        )
        return Answer(f"A new {card.network} card is on its way ({receipt.reference}), free, by {receipt.date}.")
    refused = await turn.step("refused", bank.transactions, customer.id, "card_payment", "declined")
    mine = [one for one in refused if one.card_last4 == card.last4]
    last = f"The last refusal: {mine[0].label}, {mine[0].reason}." if mine else "No payment with it was refused."
    return Answer(
        f"Your {card.label} is {card.state}; contactless is {card.contactless} (a payment with chip and PIN "
        f"switches it on). {last}"
    )


@cards.skill("PIN: see it, change it, unblock it", examples=examples.PIN)
@for_customer
async def pin(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Unblock a blocked PIN; else say where the PIN is seen and changed."""
    card = await main_card(turn, bank, customer)
    if card is None:
        return nothing(customer, "no card")
    if card.pin == "blocked":
        receipt = await turn.step("unblock", bank.unblock_pin, card.id, effect="keyed")
        return Answer(f"The PIN of your {card.label} was blocked and is free again since {receipt.date}: three tries.")
    machines = await turn.step("machines", bank.machines, customer.city)
    places = " or ".join(machine.place for machine in machines) or f"any machine that takes {card.network}"
    return Answer(
        f"The PIN of your {card.label} is not blocked. The app shows it under the card (it comes in no "
        f"letter); change it at a cash machine, here or abroad, such as {places}."
    )


@cards.skill("virtual and disposable cards", examples=examples.VIRTUAL)
@for_customer
async def virtual(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Issue a virtual or disposable card where one is wanted, else tell the terms."""
    kind = "disposable" if mentions(turn, "disposable", "one-time", "throw") else "virtual"
    terms = await turn.step("terms", bank.tariff, f"{kind}_card_limit")
    rules = f"A {kind} card is for online payments: {terms.amount} {terms.terms}"
    if not mentions(turn, "get", "want", "order", "give", "need", "please", "issue"):
        held = await turn.step("cards", bank.cards, customer.id, kind)
        have = ", ".join(card.label for card in held) or "none yet"
        return Answer(f"{rules}. You have: {have}; it is shown in the app under cards.")
    receipt = await turn.step("issue", bank.issue_virtual_card, customer.id, kind, effect="keyed")
    verb = "is ready" if receipt.changed else "is there already"
    return Answer(f"Your {receipt.detail} {verb}, in the app under cards. {rules}.")


@cards.skill("virtual card not working", examples=examples.VIRTUAL_BROKEN)
@for_customer
async def virtual_broken(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say why a virtual card was refused."""
    held = [card for card in await turn.step("cards", bank.cards, customer.id) if card.kind != "physical"]
    if not held:
        return nothing(customer, "no virtual card")
    refused = await turn.step("refused", bank.transactions, customer.id, "card_payment", "declined")
    mine = [one for one in refused if one.card_last4 in {card.last4 for card in held}]
    last = f"Its last refusal: {mine[0].label}; {mine[0].reason}." if mine else "No payment with it was refused."
    return Answer(f"Your {held[0].label} is {held[0].status} and good until {held[0].expires}. {last}")


@cards.skill("apple pay or google pay", examples=examples.WALLETS)
@for_customer
async def wallets(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Say how the customer's card goes into a phone."""
    terms = await turn.step("terms", bank.tariff, "wallets")
    networks = await turn.step("networks", bank.tariff, "top_up_card_networks")
    card = await main_card(turn, bank, customer)
    mine = f"add your {card.label} ({card.status}) in the app under wallets" if card else "order a card first"
    return Answer(f"{terms.terms}: {mine}. A top-up through a wallet takes {networks.terms}.")


@cards.turn
@for_customer
async def go_on(turn: Turn, bank: Bank, customer: Customer) -> Outcome:
    """Freeze the card another agent asks to freeze; else tell the state of cards and orders."""
    why = turn.facts.get("freeze")
    if isinstance(why, str) and turn.from_agent in ("cash", "account", "payments"):
        card = await main_card(turn, bank, customer)
        if card is None:
            return nothing(customer, "no card")
        frozen = await freeze(turn, bank, card, why)
        if turn.from_agent != "account" and why != "retained":
            return to_disputes(card, why, reason=turn.reason, transaction=turn.facts.get("transaction"))
        return await replaced(turn, bank, card, frozen)
    held = await turn.step("cards", bank.cards, customer.id)
    orders = await turn.step("orders", bank.orders, customer.id)
    states = "; ".join(f"{one.label}: {one.state}" for one in held) or "no card"
    return Answer(f"Your cards: {states}. {on_its_way(orders[0]) if orders else 'No card is on its way.'}")


async def main_card(turn: Turn, bank: Bank, customer: Customer) -> Card | None:
    """Return the plastic card that is meant: by its last digits, by an earlier agent's fact, or the first."""
    held = await turn.step("main card", bank.cards, customer.id, "physical")
    for card in held:
        if card.last4 in said(turn) or card.id == turn.facts.get("card"):
            return card
    return held[0] if held else None


async def freeze(turn: Turn, bank: Bank, card: Card, why: str) -> str:
    """Freeze a card once, and return that as a sentence."""
    receipt = await turn.step("freeze", bank.freeze_card, card.id, why, effect="keyed")
    return f"Your {card.label} {'is' if receipt.changed else 'was already'} blocked ({why})."


async def replaced(turn: Turn, bank: Bank, card: Card, frozen: str) -> Answer:
    """Order a replacement for a blocked card, and tell both."""
    order = await turn.step("replacement", bank.order_card, card.customer, "replacement", card.network, effect="keyed")
    return Answer(
        f"{frozen} A free replacement ({order.reference}) "
        f"{'is ordered' if order.changed else 'is on its way'} and comes by {order.date}.",
        data={"card": card.id, "order": order.reference},
    )


def to_disputes(card: Card, why: str, *, reason: str, transaction: str | None = None) -> Handoff:
    """Hand the payments made with a frozen card to `disputes`; `transaction` None: it finds them."""
    facts = {"card": card.id, "last4": card.last4, "frozen": why, "transaction": transaction, "freeze": None}
    return Handoff("disputes", reason=reason, facts=facts)


def on_its_way(order: Order) -> str:
    """Return the state of an order as a sentence."""
    if order.status == "delivered":
        return f"Your {order.kind} {order.network} card ({order.id}) was delivered on {order.arrives_on}."
    posted = " and posted" if order.status == "posted" else ""
    return (
        f"Your {order.kind} {order.network} card ({order.id}) was ordered on {order.ordered_on}{posted}; "
        f"it comes by {order.arrives_on}."
    )
