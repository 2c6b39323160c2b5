"""Customers of a new bank and what they hold; each is seeded for some of the desk's paths.

maya: a bit of everything, the demo's default. tomas: a stolen card and a payment he never made.
priya: a refund above the limit. june: two purchases to choose from. omar: a swallowed card and a
converted transfer. erin: nothing special, and money left on an account to close. noah: an empty
account and no card yet.
"""

CUSTOMERS = (
    # id, name, email, phone, address, city, country, born, app
    ("maya", "Maya Lindqvist", "maya@example.com", "+44 20 7946 0101", "4 Canal Walk",
     "London", "United Kingdom", "1991-06-14", "open"),
    ("tomas", "Tomas Ferreira", "tomas@example.com", "+351 21 555 0102", "Rua do Carmo 15",
     "Lisbon", "Portugal", "1984-11-02", "open"),
    ("priya", "Priya Raman", "priya@example.com", "+44 161 496 0103", "22 Mill Lane",
     "Manchester", "United Kingdom", "1979-01-30", "open"),
    ("june", "June Okafor", "june@example.com", "+44 20 7946 0104", "81 Kiln Road",
     "London", "United Kingdom", "2001-09-09", "open"),
    ("omar", "Omar Haddad", "omar@example.com", "+49 30 5550 0105", "Lindenweg 7",
     "Berlin", "Germany", "1968-04-21", "open"),
    ("erin", "Erin Walsh", "erin@example.com", "+44 20 7946 0106", "3 Orchard Mews",
     "London", "United Kingdom", "1995-12-05", "open"),
    ("noah", "Noah Brandt", "noah@example.com", "+49 30 5550 0107", "Am Anger 2",
     "Berlin", "Germany", "1988-08-17", "open"),
)  # fmt: skip

ACCOUNTS = (
    # id, customer, currency, balance_minor, status, iban, top_up_below_minor, top_up_amount_minor
    ("A-1", "maya", "GBP", 184_260, "open", "GB82 BTND 0000 0001", 0, 0),
    ("A-2", "maya", "EUR", 32_000, "open", "GB82 BTND 0000 0002", 0, 0),
    ("A-3", "tomas", "GBP", 96_015, "open", "GB82 BTND 0000 0003", 2_000, 5_000),
    ("A-4", "tomas", "EUR", 12_050, "open", "GB82 BTND 0000 0004", 0, 0),
    ("A-5", "priya", "GBP", 410_500, "open", "GB82 BTND 0000 0005", 0, 0),
    ("A-6", "june", "GBP", 8_840, "open", "GB82 BTND 0000 0006", 0, 0),
    ("A-7", "omar", "GBP", 27_430, "open", "GB82 BTND 0000 0007", 0, 0),
    ("A-8", "omar", "EUR", 150_000, "open", "GB82 BTND 0000 0008", 0, 0),
    ("A-9", "erin", "GBP", 124_050, "open", "GB82 BTND 0000 0009", 0, 0),
    ("A-10", "noah", "GBP", 0, "open", "GB82 BTND 0000 0010", 0, 0),
)

CARDS = (
    # id, customer, kind, network, last4, status, expires, pin, contactless, reason
    ("K-1", "maya", "physical", "Visa", "4821", "active", "2026-03", "ok", "on", ""),
    (
        "K-2",
        "maya",
        "physical",
        "Mastercard",
        "6630",
        "inactive",
        "2029-02",
        "ok",
        "off",
        "not activated yet",
    ),
    ("K-3", "maya", "virtual", "Visa", "7730", "active", "2027-10", "none", "off", ""),
    ("K-4", "tomas", "physical", "Visa", "9917", "active", "2028-05", "blocked", "on", ""),
    ("K-5", "priya", "physical", "Mastercard", "3055", "active", "2027-01", "ok", "on", ""),
    ("K-6", "june", "physical", "Visa", "1188", "active", "2028-12", "blocked", "off", ""),
    ("K-7", "omar", "physical", "Mastercard", "5402", "active", "2027-08", "ok", "on", ""),
    ("K-8", "erin", "physical", "Visa", "2076", "frozen", "2028-03", "ok", "on", "lost"),
)

BENEFICIARIES = (
    # id, customer, name, iban, status, reason
    (
        "B-1",
        "maya",
        "CoinHarbour Ltd",
        "EE38 2200 2210 2014",
        "refused",
        "payments to crypto exchanges are not allowed",
    ),
    ("B-2", "maya", "Jonas Weber", "DE89 3704 0044 0532", "allowed", ""),
    ("B-3", "maya", "Parkside Lettings", "GB29 NWBK 6016 1331", "allowed", ""),
    ("B-4", "omar", "Lucia Marini", "IT60 X054 2811 1010", "allowed", ""),
    ("B-5", "erin", "Dockside Rentals", "GB33 BUKB 2020 1555", "allowed", ""),
)

CASES = (
    # id, customer, kind, subject, status, opened_on
    ("D-1001", "priya", "card not delivered", "", "closed", "2026-01-12"),
)

ORDERS = (
    # id, customer, kind, network, status, ordered_on, arrives_on
    ("O-1001", "maya", "renewal", "Visa", "posted", "2026-02-25", "2026-03-05"),
    ("O-1002", "erin", "replacement", "Visa", "posted", "2026-02-23", "2026-03-03"),
)

CHECKS = (
    # id, customer, status, reason, started_on
    ("I-1001", "maya", "failed", "the photo of the document was too dark to read", "2026-02-20"),
    ("I-1002", "tomas", "passed", "", "2024-05-02"),
    ("I-1003", "priya", "passed", "", "2023-10-11"),
    ("I-1004", "june", "review", "", "2026-03-01"),
    ("I-1005", "omar", "passed", "", "2022-06-30"),
    ("I-1006", "erin", "passed", "", "2025-01-19"),
)
