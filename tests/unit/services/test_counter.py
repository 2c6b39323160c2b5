"""What the agents share: which record a text means, and what a text is about."""

import pytest

from baton.testing import make_turn
from services.bank import Bank
from services.counter import amounts, is_general, mentions, named, open_bank, total
from services.exchange.agent import ordered


@pytest.mark.parametrize(
    ("text", "counterparty"),
    [
        ("refund the tavola thing", "Tavola Kiosk"),
        ("the one of 36.50 please", "Fern and Co"),
        ("it was 64 pounds", "Harbour Hotel"),
        ("Harbour Hotel, not 36.50", "Harbour Hotel"),
        ("my card payment", None),
        ("", None),
    ],
)
def test_a_text_names_a_transaction_by_its_counterparty_or_amount(
    bank: Bank, text: str, counterparty: str | None
) -> None:
    found = named(text, bank.transactions("maya", "card_payment"))
    assert (found.counterparty if found else None) == counterparty


def test_amounts_are_minor_units() -> None:
    assert amounts("180, 1,250.50 and $3") == {18_000, 125_050, 300}
    assert amounts("none") == set()


def test_a_flood_of_digits_is_read_quickly_and_names_nothing(bank: Bank) -> None:
    flood = "9" * 250_000
    assert amounts(flood) == set()
    assert named(flood, bank.transactions("maya", "card_payment")) is None
    assert ordered(f"{flood} gbp to eur") is None
    assert ordered(flood) is None


def test_words_count_by_their_beginnings() -> None:
    turn = make_turn("It was STOLEN!", reply="yes, thieves")
    assert mentions(turn, "stole")
    assert mentions(turn, "thie")
    assert not mentions(turn, "tolen", "lost")


@pytest.mark.parametrize(
    ("text", "general"),
    [
        ("How do I cancel a transfer?", True),
        ("can I cancel it", True),
        ("Can you cancel it?", False),
        ("cancel it", False),
        ("however it goes, cancel it", False),
    ],
)
def test_a_question_how_something_is_done_is_general(text: str, general: bool) -> None:
    assert is_general(make_turn(text)) is general


def test_a_total_counts_one_currency(bank: Bank) -> None:
    assert total(bank.transactions("maya", "top_up")) == "500.00 GBP"
    assert total([]) == "0.00 GBP"


async def test_the_bank_is_open_while_it_is_a_resource(bank_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_BANK_URL", bank_url)
    async with open_bank() as opened:
        assert opened.customer("maya").name == "Maya Lindqvist"
