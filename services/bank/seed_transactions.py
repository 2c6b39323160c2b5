"""Transactions of a new bank: for every skill of the desk there is something true to say."""

from collections.abc import Iterator
from itertools import count
from typing import TypeAlias

_Entries: TypeAlias = tuple[tuple[str, str, int, str, str, dict[str, object]], ...]

_MAYA: _Entries = (
    # kind, status, amount_minor, counterparty, booked_on, and what differs from a plain one
    ("card_payment", "pending", 6400, "Harbour Hotel", "2026-02-28",
     {"due_on": "2026-03-06", "reason": "the hotel has reserved the money and not collected it yet"}),
    ("card_payment", "declined", 34900, "Volt Electronics", "2026-03-01",
     {"reason": "it is above your limit of 300.00 GBP for online payments"}),
    ("card_payment", "reverted", 2750, "Lumen Cinema", "2026-02-26",
     {"reason": "the shop withdrew it within the hour"}),
    ("card_payment", "completed", 2340, "Tavola Kiosk", "2026-02-27", {}),
    ("card_payment", "completed", 2340, "Tavola Kiosk", "2026-02-27", {}),
    ("card_payment", "completed", 3650, "Fern and Co", "2026-02-24", {}),
    ("card_payment", "completed", 9020, "Bodega Sol, Seville", "2026-02-18",
     {"fee_minor": 135, "reason": "foreign payment fee of 1.5 %", "foreign_minor": 10446,
      "foreign_currency": "EUR", "rate_millionths": 1_158_100}),
    ("card_payment", "pending", 100, "Northway Fuel", "2026-02-27",
     {"due_on": "2026-03-04", "reason": "a petrol station's card check, it is given back by itself"}),
    ("card_payment", "completed", 8999, "Globex Digital", "2026-02-25", {"flag": "unusual"}),
    ("card_payment", "declined", 1900, "Pixel Streams", "2026-02-27",
     {"card_last4": "7730", "reason": "the shop asked for a card that can be charged every month"}),
    ("card_payment", "refund_due", 4500, "Marlow Outdoor", "2026-02-20",
     {"due_on": "2026-03-05", "reason": "the shop announced the refund on 2026-02-26"}),
    ("direct_debit", "completed", 2900, "Brightside Gym", "2026-02-16",
     {"card_last4": "", "flag": "unusual", "reason": "mandate BG-4471, signed online on 2026-01-16"}),
    ("withdrawal", "completed", 5000, "Cash machine, Calle Sierpes, Seville", "2026-02-17",
     {"fee_minor": 150, "reason": "withdrawal abroad", "foreign_minor": 5771, "foreign_currency": "EUR",
      "rate_millionths": 1_154_200}),
    ("withdrawal", "pending", 4000, "Cash machine, Stoney Street", "2026-03-01",
     {"due_on": "2026-03-03", "reason": "the machine's bank has not confirmed it yet"}),
    ("withdrawal", "declined", 45000, "Cash machine, King's Cross", "2026-02-28",
     {"reason": "it is above your daily limit of 400.00 GBP"}),
    ("withdrawal", "completed", 20000, "Cash machine, Rua Augusta", "2026-02-22", {"flag": "unusual"}),
    ("withdrawal", "completed", 10000, "Cash machine, Baker Street", "2026-02-21",
     {"flag": "short", "foreign_minor": 8000, "foreign_currency": "GBP",
      "reason": "the machine counted 80.00 GBP paid out"}),
    ("deposit", "pending", 25000, "Cheque 000418", "2026-02-27",
     {"card_last4": "", "due_on": "2026-03-04", "reason": "cheques count after three working days"}),
    ("transfer_out", "pending", 12000, "Jonas Weber", "2026-03-02",
     {"card_last4": "", "due_on": "2026-03-03", "reason": "SEPA transfers take one working day"}),
    ("transfer_out", "failed", 8000, "Anna Bright", "2026-02-25",
     {"card_last4": "", "reason": "the recipient's account number does not exist; the money is back"}),
    ("transfer_out", "declined", 50000, "CoinHarbour Ltd", "2026-02-24",
     {"card_last4": "", "reason": "payments to crypto exchanges are not allowed"}),
    ("transfer_out", "completed", 60000, "Parkside Lettings", "2026-02-27",
     {"card_last4": "", "reason": "handed to the recipient's bank on 2026-02-27 at 14:02"}),
    ("transfer_out", "completed", 30000, "Li Wei, Shanghai", "2026-02-12",
     {"card_last4": "", "fee_minor": 450, "reason": "SWIFT transfer fee"}),
    ("transfer_in", "pending", 75000, "Lindqvist Design AB", "2026-03-01",
     {"card_last4": "", "due_on": "2026-03-03", "reason": "announced by the sender's bank, not arrived yet"}),
    ("transfer_in", "completed", 231000, "Studio North Ltd (salary)", "2026-02-26", {"card_last4": ""}),
    ("top_up", "pending", 10000, "Debit card ending 3391", "2026-03-02",
     {"card_last4": "3391", "due_on": "2026-03-02", "reason": "the card's bank has not confirmed it yet"}),
    ("top_up", "failed", 15000, "Debit card ending 3391", "2026-02-28",
     {"card_last4": "3391", "reason": "the card's bank refused it: 3D Secure was not completed"}),
    ("top_up", "reverted", 5000, "Debit card ending 3391", "2026-02-26",
     {"card_last4": "3391", "reason": "the card's bank took it back: name on card and account differ"}),
    ("top_up", "completed", 20000, "Debit card ending 3391", "2026-02-23", {"card_last4": "3391"}),
    ("exchange", "completed", 20000, "GBP to EUR", "2026-02-17",
     {"card_last4": "", "foreign_minor": 23240, "foreign_currency": "EUR", "rate_millionths": 1_162_000}),
)  # fmt: skip

_TOMAS: _Entries = (
    ("card_payment", "completed", 24000, "Skyline Vouchers", "2026-03-01", {"flag": "unusual"}),
    ("card_payment", "completed", 1280, "Pastelaria Aurora", "2026-02-28", {}),
    (
        "withdrawal",
        "completed",
        6000,
        "Cash machine, Rossio",
        "2026-02-27",
        {"fee_minor": 150, "reason": "abroad"},
    ),
    ("top_up", "completed", 5000, "Automatic top-up", "2026-02-20", {}),
)
_PRIYA: _Entries = (
    ("card_payment", "completed", 18000, "Nordkap Tents", "2026-02-19", {}),
    ("card_payment", "completed", 4200, "Cedar Books", "2026-02-25", {}),
    ("direct_debit", "completed", 5499, "Millview Energy", "2026-02-28", {"card_last4": ""}),
    ("transfer_in", "completed", 90000, "Raman Consulting", "2026-02-27", {"card_last4": ""}),
)
_JUNE: _Entries = (
    ("card_payment", "completed", 2999, "Corner Florist", "2026-02-27", {}),
    ("card_payment", "completed", 5450, "Trackside Shoes", "2026-02-21", {}),
    ("card_payment", "declined", 9900, "Trackside Shoes", "2026-03-01",
     {"reason": "the balance was 88.40 GBP"}),
    ("top_up", "failed", 3000, "Debit card ending 7719", "2026-03-01",
     {"card_last4": "7719", "reason": "the card's bank refused it: not enough money"}),
)  # fmt: skip
_OMAR: _Entries = (
    ("withdrawal", "declined", 20000, "Cash machine, Alexanderplatz", "2026-03-02",
     {"flag": "card_kept", "reason": "the machine broke off and kept the card"}),
    ("transfer_out", "completed", 40000, "Lucia Marini", "2026-02-26",
     {"card_last4": "", "foreign_minor": 46016, "foreign_currency": "EUR", "rate_millionths": 1_150_400,
      "reason": "converted on the way"}),
    ("card_payment", "completed", 3600, "Kiezladen", "2026-02-28", {}),
)  # fmt: skip
_ERIN: _Entries = (
    ("card_payment", "completed", 1150, "Quayside Deli", "2026-02-20", {}),
    ("transfer_out", "pending", 35000, "Dockside Rentals", "2026-03-02",
     {"card_last4": "", "due_on": "2026-03-02", "reason": "domestic transfers take up to two hours"}),
)  # fmt: skip

_CARD_OF = {"maya": "4821", "tomas": "9917", "priya": "3055", "june": "1188", "omar": "5402", "erin": "2076"}
_BY_CUSTOMER = {"maya": _MAYA, "tomas": _TOMAS, "priya": _PRIYA, "june": _JUNE, "omar": _OMAR, "erin": _ERIN}


def transactions() -> Iterator[tuple[object, ...]]:
    """Yield the rows of the table `transactions`, with ids `T-1001`, `T-1002`, … in this order."""
    numbers = count(1001)
    for customer, entries in _BY_CUSTOMER.items():
        for kind, status, amount_minor, counterparty, booked_on, differs in entries:
            plain: dict[str, object] = {
                "fee_minor": 0,
                "due_on": "",
                "card_last4": _CARD_OF[customer],
                "flag": "",
                "reason": "",
                "foreign_minor": 0,
                "foreign_currency": "",
                "rate_millionths": 0,
            }
            more = {**plain, **differs}
            yield (
                *(f"T-{next(numbers)}", customer, kind, status, amount_minor, "GBP", more["fee_minor"]),
                *(counterparty, booked_on, more["due_on"], more["card_last4"], more["flag"], more["reason"]),
                *(more["foreign_minor"], more["foreign_currency"], more["rate_millionths"]),
            )
