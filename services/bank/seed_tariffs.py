"""Fees, limits, terms, rates and cash machines of a new bank; amounts in minor units."""

TARIFFS = (
    # name, amount_minor, currency, basis_points, terms
    ("card_replacement_fee", 0, "GBP", 0, "a replacement for a lost, stolen or broken card is free"),
    ("card_renewal_fee", 0, "GBP", 0, "a renewal is posted by itself three weeks before a card expires"),
    ("card_new_fee", 0, "GBP", 0, "the first card is free and posted to any address in a country we serve"),
    ("card_spare_fee", 500, "GBP", 0, "up to two further cards on one account, also for family members"),
    ("card_express_fee", 1200, "GBP", 0, "express delivery takes two working days; a day can be chosen"),
    ("card_acceptance", 0, "GBP", 0, "shops, websites and cash machines that show the card's network sign"),
    ("wallets", 0, "GBP", 0, "Apple Pay and Google Pay take our cards for paying and for topping up"),
    ("virtual_card_limit", 100000, "GBP", 0, "per payment; one virtual card at a time"),
    ("disposable_card_limit", 50000, "GBP", 0,
     "per payment; one payment a card, five disposable cards a day"),
    ("refund_limit", 10000, "GBP", 0, "above this a person at the bank decides"),
    ("small_fee_limit", 500, "GBP", 0, "a fee up to this is given back once, as a gesture"),
    ("card_payment_fee", 0, "GBP", 0, "payments in your own currency are free"),
    ("foreign_payment_fee", 0, "GBP", 150, "payments in a currency you hold no account in"),
    ("refund_days", 0, "GBP", 0, "shops need up to five working days to send a refund"),
    ("withdrawal_fee", 150, "GBP", 0, "each withdrawal after the third in a month, and each one abroad"),
    ("withdrawal_limit", 40000, "GBP", 0, "a day, at any cash machine"),
    ("deposit_days", 0, "GBP", 0, "cash counts the next working day, a cheque after three"),
    ("transfer_fee_sepa", 0, "GBP", 0, "domestic and SEPA transfers are free"),
    ("transfer_fee_swift", 450, "GBP", 0, "SWIFT transfers; banks on the way may take more"),
    ("transfer_time_domestic", 0, "GBP", 0, "within two hours"),
    ("transfer_time_sepa", 0, "GBP", 0, "one working day in Europe"),
    ("transfer_time_swift", 0, "GBP", 0, "two to five working days elsewhere, such as the USA or China"),
    ("top_up_fee_card", 0, "GBP", 0, "domestic and European cards"),
    ("top_up_fee_card_foreign", 0, "GBP", 200, "cards issued outside Europe"),
    ("top_up_fee_transfer", 0, "GBP", 0,
     "domestic and SEPA transfers arrive whole; SWIFT banks may take a part"),
    ("top_up_limit", 200000, "GBP", 0, "a day; at least 10.00 GBP each time"),
    ("top_up_cash", 0, "GBP", 0, "cash at any partner shop, cheques by post to our London office"),
    ("top_up_card_networks", 0, "GBP", 0, "Visa and Mastercard debit and credit cards; no American Express"),
    ("exchange_fee", 0, "GBP", 50, "on weekends and above 1,000.00 GBP a month; free otherwise"),
    ("currencies", 0, "GBP", 0, "GBP, EUR, USD, CHF, SEK, AUD, JPY"),
    ("age_limit", 0, "GBP", 0, "18 years; from 11 with a junior account in a parent's name"),
    ("countries", 0, "GBP", 0,
     "the United Kingdom, the European Union, Norway, Switzerland, the USA, Australia"),
    ("identity_documents", 0, "GBP", 0,
     "a passport, identity card or driving licence, and a photo of yourself"),
    ("identity_reason", 100000, "GBP", 0,
     "the law asks us to know who holds an account; without a check it is limited to this a month"),
)  # fmt: skip

RATES = (
    # base, quote, units of quote for one of base in millionths
    ("GBP", "EUR", 1_164_200),
    ("GBP", "USD", 1_351_700),
    ("GBP", "CHF", 1_060_500),
    ("GBP", "SEK", 12_430_000),
    ("GBP", "AUD", 1_902_300),
    ("EUR", "GBP", 856_000),
    ("EUR", "USD", 1_161_000),
    ("USD", "GBP", 738_000),
    ("USD", "EUR", 860_000),
    ("AUD", "GBP", 524_000),
)

MACHINES = (
    # id, city, place, networks
    ("M-1", "London", "Borough Market, Stoney Street", "Visa, Mastercard"),
    ("M-2", "London", "King's Cross station, west hall", "Visa, Mastercard"),
    ("M-3", "Manchester", "Piccadilly Gardens 12", "Visa, Mastercard"),
    ("M-4", "Lisbon", "Rossio station", "Visa, Mastercard"),
    ("M-5", "Berlin", "Alexanderplatz 3", "Mastercard"),
)
