"""Every skill of the desk, by scripted turns: facts from the records, effects once, clear words without."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest

from baton import Answer, Ask, Card, Handoff
from baton.hop.steps import Suspended
from baton.journal.records import Step
from baton.testing import make_turn
from services.bank import Bank
from services.payments.agent import payments
from services.team import desk

ANSWERS = [
    # agent, skill, text, customer, what the answer states
    ("cards", "lost or stolen card", "lost my card", "priya", ("3055", "blocked", "O-2002", "2026-03-06")),
    ("cards", "card used by someone else", "is my card cloned?", "june", ("1188", "compromised", "O-2002")),
    ("cards", "card swallowed by a cash machine", "it ate my card", "maya", ("4821", "retained", "O-2002")),
    ("cards", "activate or link a card", "activate my new card", "maya", ("6630", "active")),
    ("cards", "activate or link a card", "I found my card, unfreeze it", "erin", ("2076", "active")),
    ("cards", "activate or link a card", "activate it", "tomas", ("no card to activate", "9917")),
    ("cards", "card delivery and tracking", "where is it?", "maya", ("O-1001", "2026-03-05", "12.00 GBP")),
    ("cards", "card delivery and tracking", "where is it?", "june", ("No card is on its way", "12.00 GBP")),
    ("cards", "order a physical card", "a real card please", "noah", ("O-2001", "free", "2026-03-06")),
    ("cards", "order a physical card", "a real card please", "maya", ("4821", "5.00 GBP")),
    ("cards", "spare card or card for the family", "please send one for my son", "maya", ("O-2001", "5.00")),
    ("cards", "spare card or card for the family", "may I have two?", "maya", ("You have 2 now",)),
    ("cards", "visa or mastercard", "which is it?", "maya", ("Visa ending 4821", "Mastercard ending 6630")),
    ("cards", "where the card is accepted", "where?", "maya", ("4821", "network sign")),
    ("cards", "card about to expire", "it expires", "maya", ("2026-03", "O-1001", "2026-03-05")),
    ("cards", "card about to expire", "it expires", "priya", ("2027-01", "O-2001")),
    ("cards", "card or contactless not working", "does not work", "maya", ("Volt Electronics", "300.00 GBP")),
    ("cards", "card or contactless not working", "it is broken", "maya", ("O-2001", "2026-03-06")),
    ("cards", "card or contactless not working", "tap fails", "june", ("contactless is off", "88.40 GBP")),
    ("cards", "PIN: see it, change it, unblock it", "PIN blocked", "tomas", ("9917", "free again")),
    ("cards", "PIN: see it, change it, unblock it", "change my PIN", "maya", ("not blocked", "King's Cross")),
    ("cards", "virtual and disposable cards", "I want a virtual card", "maya", ("7730", "there already")),
    ("cards", "virtual and disposable cards", "get me a disposable card", "maya", ("is ready", "500.00 GBP")),
    ("cards", "virtual and disposable cards", "how many disposable ones?", "maya", ("five disposable cards",)),
    ("cards", "virtual card not working", "rejected", "maya", ("7730", "Pixel Streams", "every month")),
    ("cards", "apple pay or google pay", "google pay?", "maya", ("4821", "no American Express")),
    ("payments", "declined card payment", "declined", "maya", ("349.00 GBP", "Volt Electronics")),
    ("payments", "declined card payment", "Pixel Streams declined me", "maya", ("19.00 GBP", "every month")),
    ("payments", "pending card payment", "pending", "maya", ("64.00 GBP", "Harbour Hotel", "2026-03-06")),
    ("payments", "reverted card payment", "it came back", "maya", ("27.50 GBP", "Lumen Cinema")),
    ("payments", "direct debit not recognised", "not mine", "maya", ("Brightside Gym", "BG-4471", "D-2001")),
    ("payments", "charged twice", "twice!", "maya", ("23.40 GBP", "Tavola Kiosk", "refunded")),
    ("payments", "fee for a card payment", "a fee?", "maya", ("1.35 GBP", "Seville", "1.5 %")),
    ("payments", "fee for a card payment", "waive the fee", "maya", ("1.35 GBP", "given back")),
    ("payments", "extra charge on the statement", "an extra pound", "maya", ("1.00 GBP", "Northway Fuel")),
    ("payments", "ask for a refund", "refund Fern and Co", "maya", ("36.50 GBP", "refunded")),
    ("payments", "refund not showing up", "where is it", "maya", ("45.00 GBP", "Marlow", "2026-03-05")),
    ("payments", "refund not showing up", "where is it", "june", ("No shop has announced",)),
    ("cash", "find a cash machine", "near me", "maya", ("London", "Borough Market", "1.50 GBP")),
    ("cash", "find a cash machine", "in Berlin?", "maya", ("Berlin", "Alexanderplatz 3 (Mastercard)")),
    ("cash", "cheque or cash deposit not showing", "cheque?", "maya", ("250.00 GBP", "2026-03-04")),
    ("cash", "fee for a cash withdrawal", "a fee?", "maya", ("50.00 GBP", "1.50 GBP", "abroad")),
    ("cash", "declined cash withdrawal", "no cash", "maya", ("450.00 GBP", "400.00 GBP a day")),
    ("cash", "pending cash withdrawal", "pending", "maya", ("40.00 GBP", "2026-03-03")),
    ("cash", "wrong amount of cash", "too little", "maya", ("100.00 GBP", "80.00 GBP", "D-2001")),
    ("transfers", "cancel a transfer", "cancel it", "maya", ("Jonas Weber", "120.00 GBP", "cancelled")),
    ("transfers", "cancel a transfer", "how do I cancel one?", "maya", ("say `cancel it`",)),
    ("transfers", "cancel a transfer", "cancel it", "omar", ("None of your transfers is pending",)),
    ("transfers", "declined transfer", "declined", "maya", ("500.00 GBP", "crypto")),
    ("transfers", "failed transfer", "failed", "maya", ("80.00 GBP", "Anna Bright", "does not exist")),
    ("transfers", "pending transfer", "pending", "maya", ("Jonas Weber", "2026-03-03")),
    ("transfers", "transfer not received by recipient", "lost?", "maya", ("Parkside", "14:02", "D-2001")),
    ("transfers", "transfer not received by recipient", "to Jonas", "maya", ("pending", "2026-03-03")),
    ("transfers", "how long a transfer takes", "how long", "maya", ("two hours", "one working day")),
    ("transfers", "fee for a transfer", "a fee", "maya", ("4.50 GBP", "Li Wei", "SEPA transfers are free")),
    ("transfers", "beneficiary not allowed", "why", "maya", ("CoinHarbour", "crypto")),
    ("transfers", "receive money or a salary", "salary", "maya", ("Maya Lindqvist", "GB82 BTND 0000 0001")),
    ("transfers", "transfer money into the account", "how", "maya", ("GB82 BTND 0000 0001", "1,842.60 GBP")),
    ("transfers", "balance not updated after a bank transfer", "?", "maya", ("750.00 GBP", "2026-03-03")),
    ("topups", "automatic top-up", "switch it on", "maya", ("is on", "50.00 GBP", "20.00 GBP")),
    ("topups", "automatic top-up", "switch it off", "tomas", ("is off",)),
    ("topups", "automatic top-up", "does it exist?", "tomas", ("is on", "960.15 GBP")),
    ("topups", "pending top-up", "pending", "maya", ("100.00 GBP", "not confirmed")),
    ("topups", "fee for a top-up by transfer", "fee?", "maya", ("SEPA", "0.00 GBP")),
    ("topups", "fee for a top-up by card", "fee?", "maya", ("2 %", "0.00 GBP")),
    ("topups", "top up with cash or a cheque", "cash?", "maya", ("partner shop", "GB82 BTND 0000 0001")),
    ("topups", "failed top-up", "failed", "maya", ("150.00 GBP", "3D Secure")),
    ("topups", "top-up limits", "limit?", "maya", ("2,000.00 GBP", "Today so far: 100.00 GBP")),
    ("topups", "reverted top-up", "gone", "maya", ("50.00 GBP", "name on card")),
    ("topups", "top up by card", "how", "maya", ("Visa and Mastercard", "100.00 GBP")),
    ("topups", "verify a top-up", "code?", "maya", ("3391", "maya@example.com")),
    ("exchange", "wrong exchange rate for a card payment", "?", "maya", ("1.1581 EUR", "1.1642 EUR", "1.35")),
    ("exchange", "fee for exchanging money", "fee?", "maya", ("0.5 %", "200.00 GBP to 232.40 EUR")),
    ("exchange", "exchange rates", "rate for euros", None, ("1 GBP = 1.1642 EUR",)),
    ("exchange", "exchange money in the app", "exchange 50 GBP to EUR", "maya", ("58.21 EUR", "1.1642")),
    ("exchange", "exchange money in the app", "swap 20 euros for pounds", "maya", ("17.12 GBP", "0.8560")),
    ("exchange", "exchange money in the app", "exchange 9,000 GBP to EUR", "maya", ("cannot exchange",)),
    ("exchange", "exchange money in the app", "how?", "maya", ("exchange 50 GBP to EUR", "320.00 EUR")),
    ("exchange", "currencies that can be held", "which?", "maya", ("CHF", "320.00 EUR")),
    ("exchange", "supported cards and currencies for adding money", "amex?", "maya", ("no American", "3391")),
    ("exchange", "wrong exchange rate for a cash withdrawal", "?", "maya", ("1.1542 EUR", "1.50 GBP")),
    ("account", "age limit", "age?", "maya", ("18 years",)),
    ("account", "supported countries", "where?", "omar", ("European Union", "Germany")),
    ("account", "change personal details", "moved", "maya", ("4 Canal Walk", "maya@example.com")),
    ("account", "lost or stolen phone", "phone gone", "maya", ("locked", "maya@example.com")),
    ("account", "forgotten passcode", "forgot it", "maya", ("new passcode", "maya@example.com")),
    ("account", "identity check failed", "why?", "maya", ("I-1001", "too dark", "I-2001")),
    ("account", "identity check failed", "why?", "june", ("I-1004", "review")),
    ("account", "verify identity", "verify me", "noah", ("I-2001", "passport")),
    ("account", "source of funds", "from where?", "maya", ("2,310.00 GBP", "salary")),
    ("account", "why identity is checked", "why?", "maya", ("the law", "failed")),
    ("cards", None, "and now?", "erin", ("2076", "frozen (lost)", "O-1002", "2026-03-03")),
    ("payments", None, "and Harbour Hotel?", "maya", ("64.00 GBP", "pending", "reserved")),
    ("payments", None, "and now?", "maya", ("349.00 GBP",)),
    ("cash", None, "and now?", "maya", ("40.00 GBP", "400.00 GBP")),
    ("transfers", None, "and the one to Anna?", "maya", ("80.00 GBP", "failed")),
    ("topups", None, "and now?", "maya", ("100.00 GBP", "1,842.60 GBP")),
    ("exchange", None, "and now?", "maya", ("1 GBP = 1.1642 EUR",)),
    ("account", None, "and now?", "maya", ("1,842.60 GBP", "identity check: failed")),
    ("disputes", None, "and now?", "priya", ("D-1001", "closed")),
]


@pytest.mark.parametrize(("agent", "skill", "text", "customer", "states"), ANSWERS)
async def test_a_skill_answers_with_facts_from_the_records(
    take: Any, agent: str, skill: str | None, text: str, customer: str | None, states: Sequence[str]
) -> None:
    outcome = await take(agent, skill, text, customer)
    assert isinstance(outcome, Answer)
    assert [fact for fact in states if fact not in outcome.text] == [], outcome.text


@pytest.mark.parametrize("card", [desk.card(name) for name in desk.agents], ids=list(desk.agents))
async def test_every_skill_looks_a_record_up_or_makes_an_effect(bank: Bank, card: Card) -> None:
    for skill, customer in product(card.skills, ("maya", "noah")):
        turn = make_turn(
            skill.examples[0],
            skill=skill.name,
            facts={"customer": customer},
            resources=bank,
            agent=card.name,
        )
        outcome = await desk.agents[card.name].handler(skill.name)(turn)
        assert isinstance(outcome, Answer | Handoff | Ask)
        assert set(turn.recorded) - {"customer"}, f"{skill.name}: only the customer was looked up"


@pytest.mark.parametrize("agent", desk.agents)
async def test_without_a_known_customer_the_answer_says_which_fact_is_missing(take: Any, agent: str) -> None:
    missing = await take(agent, None, "hello", None)
    assert (missing.data, missing.release) == ({"missing": ["customer"]}, True)
    unknown = await take(agent, None, "hello", "nobody")
    assert "'nobody'" in unknown.text
    odd = await take(agent, None, "hello", None, facts={"customer": ["maya"]})
    assert odd.data == {"missing": ["customer"]}


async def test_a_lost_card_with_payments_goes_to_disputes_frozen(take: Any, bank: Bank) -> None:
    outcome = await take("cards", "lost or stolen card", "card stolen, and a payment I never made", "tomas")
    assert (outcome.to, bank.card("K-4").status) == ("disputes", "frozen")
    assert outcome.facts == {
        "card": "K-4",
        "last4": "9917",
        "frozen": "stolen",
        "transaction": None,
        "freeze": None,
    }


async def test_an_unknown_payment_with_a_stolen_card_is_frozen_first(take: Any) -> None:
    outcome = await take("payments", "card payment not recognised", "stolen card, odd payment", "tomas")
    assert (outcome.to, outcome.facts["freeze"]) == ("cards", "stolen")
    outcome = await take("payments", "card payment not recognised", "an odd payment", "tomas")
    assert (outcome.to, set(outcome.facts)) == ("disputes", {"transaction"})


async def test_the_card_that_the_digits_name_is_frozen(take: Any, bank: Bank) -> None:
    await take("cards", "lost or stolen card", "I lost the one ending 6630", "maya")
    assert {card.last4: card.status for card in bank.cards("maya", "physical")} == {
        "4821": "active",
        "6630": "frozen",
    }


@pytest.mark.parametrize("sender", ["router", "human", "transfers"])
async def test_cards_freezes_only_for_agents_that_ask_for_it(take: Any, bank: Bank, sender: str) -> None:
    facts = {"freeze": "stolen"}
    outcome = await take("cards", None, "when does it come?", "maya", facts=facts, from_agent=sender)
    assert "O-1001" in outcome.text
    assert bank.ledger() == []


async def test_disputes_asks_which_payment_where_none_stands_out(take: Any) -> None:
    sent = {"from_agent": "cards"}
    question = await take("disputes", None, "not mine!", "june", **sent)
    assert isinstance(question, Ask)
    assert len(question.options or ()) == 2
    outcome = await take("disputes", None, "not mine!", "june", reply="the florist", from_agent="disputes")
    assert "Case D-2001 is open for 29.99 GBP" in outcome.text
    outcome = await take("disputes", None, "not mine!", "june", reply="neither", from_agent="disputes")
    assert "no payment like that" in outcome.text


async def test_disputes_opens_one_case_per_payment(take: Any, bank: Bank) -> None:
    facts = {"transaction": "T-1009", "frozen": "stolen", "last4": "4821"}
    first = await take("disputes", None, "x", "maya", facts=facts, from_agent="cards")
    again = await take("disputes", None, "x", "maya", facts=facts, from_agent="cards")
    assert tuple(word for word in ("is open", "is frozen") if word in first.text) == ("is open", "is frozen")
    assert "was already open" in again.text
    assert len(bank.cases("maya")) == 1


async def approval(bank: Bank, *recorded: Step) -> Any:
    turn = make_turn(
        "refund for Nordkap Tents",
        skill="ask for a refund",
        facts={"customer": "priya"},
        resources=bank,
        agent="payments",
        recorded=recorded,
    )
    return turn, await payments.handler("ask for a refund")(turn)


@pytest.mark.parametrize(("granted", "told"), [(True, "is refunded"), (False, "not granted by ana: no receipt")])
async def test_a_refund_above_the_limit_waits_for_a_person(bank: Bank, granted: bool, told: str) -> None:
    with pytest.raises(Suspended) as waits:
        await approval(bank)
    wait = waits.value.wait
    assert wait.prompt == "Refund 180.00 GBP to Priya Raman for Nordkap Tents (2026-02-19)?"
    assert (wait.step_key, wait.on_timeout, wait.deadline_s) == ("refund-limit", "deny", 172_800)
    answer = f'{{"granted": {str(granted).lower()}, "by": "ana", "reason": "no receipt"}}'.encode()
    step = Step(wait.step_scope, str(wait.step_key), "done", wait.input_sha, answer, seq=1)
    _, outcome = await approval(bank, step)
    assert told in outcome.text
    assert len(bank.ledger(effect="refund")) == granted


async def test_a_refund_asks_which_payment_and_goes_on_with_the_reply(take: Any, bank: Bank) -> None:
    question = await take("payments", "ask for a refund", "I want a refund", "june")
    assert question.question == "Which of the two payments is it about?"
    assert question.options == ["29.99 GBP, Corner Florist, 2026-02-27", "54.50 GBP, Trackside Shoes, 2026-02-21"]
    for reply in ("the shoes", "54.50", question.options[1]):
        outcome = await take("payments", "ask for a refund", "I want a refund", "june", reply=reply)
        assert "Trackside Shoes" in outcome.text
        bank.restore()
    unclear = await take("payments", "ask for a refund", "I want a refund", "june", reply="hm?")
    assert unclear.text.startswith("I find no payment like that")


async def test_an_account_with_money_on_it_is_closed_by_a_person(take: Any, bank: Bank) -> None:
    outcome = await take("account", "close the account", "close it", "erin")
    assert (outcome.to, "1,240.50 GBP" in outcome.reason) == ("human", True)
    assert bank.ledger() == []


async def test_an_empty_account_is_closed_once_the_customer_says_yes(take: Any, bank: Bank) -> None:
    assert isinstance(await take("account", "close the account", "close it", "noah"), Ask)
    kept = await take("account", "close the account", "close it", "noah", reply="no, wait")
    assert "stays open" in kept.text
    closed = await take("account", "close the account", "close it", "noah", reply="Yes")
    assert "1 account(s) closed" in closed.text
    again = await take("account", "close the account", "close it", "noah")
    assert (again.text, len(bank.ledger())) == ("Your account is closed already.", 1)


async def test_a_phone_lost_with_the_cards_locks_the_app_and_goes_to_cards(take: Any, bank: Bank) -> None:
    outcome = await take("account", "lost or stolen phone", "phone and wallet are gone", "maya")
    assert (outcome.to, outcome.facts["freeze"], bank.customer("maya").app) == ("cards", "stolen", "locked")
    went_on = await take("cards", None, "phone and wallet are gone", "maya", facts=outcome.facts, from_agent="account")
    assert "4821 is blocked (stolen)" in went_on.text


async def test_a_withdrawal_whose_machine_kept_the_card_goes_to_cards(take: Any) -> None:
    outcome = await take("cash", "declined cash withdrawal", "no cash", "omar")
    assert (outcome.to, outcome.facts["freeze"]) == ("cards", "retained")
    went_on = await take("cards", None, "no cash", "omar", facts=outcome.facts, from_agent="cash")
    assert "5402 is blocked (retained)" in went_on.text


async def test_a_transfer_without_a_fee_that_was_converted_goes_to_exchange(take: Any) -> None:
    outcome = await take("transfers", "fee for a transfer", "Lucia got less, a fee?", "omar")
    assert (outcome.to, "no fee was taken" in outcome.reason) == ("exchange", True)
    went_on = await take("exchange", None, "a fee?", "omar", facts=outcome.facts, from_agent="transfers")
    assert [part for part in ("400.00 GBP", "460.16 EUR", "1.1504") if part not in went_on.text] == []


async def test_effects_carry_the_key_of_their_step(bank: Bank) -> None:
    turn = make_turn("lost my card", facts={"customer": "maya"}, resources=bank, agent="cards")
    handler = desk.agents["cards"].handler("lost or stolen card")
    await handler(turn)
    keys = {step.key: step.idempotency_key for step in turn.recorded.values() if step.effect == "keyed"}
    assert set(keys) == {"freeze", "replacement"}
    assert [entry.key for entry in bank.ledger()] == [keys["freeze"], keys["replacement"]]


async def test_a_replay_repeats_no_effect(bank: Bank) -> None:
    handler = desk.agents["cards"].handler("lost or stolen card")
    facts = {"customer": "maya"}
    first = make_turn("lost my card", facts=facts, resources=bank, agent="cards")
    told = await handler(first)
    replay = make_turn(
        "lost my card", facts=facts, resources=bank, agent="cards", recorded=list(first.recorded.values())
    )
    assert await handler(replay) == told
    assert [entry.attempts for entry in bank.ledger()] == [1, 1]
