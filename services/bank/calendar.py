"""The bank's business day: a fixed one, so that the seeded records and every answer stay true."""

from datetime import date, timedelta

BUSINESS_DAY = date(2026, 3, 2)
"""Today, as the seeded bank sees it (a Monday). Only the ledger's `at` is the real time."""

TODAY = BUSINESS_DAY.isoformat()
"""The business day as the records write dates."""


def in_working_days(days_count: int) -> str:
    """Return the date that many working days (Monday to Friday) after the business day; >= 0."""
    day = BUSINESS_DAY
    while days_count > 0:
        day += timedelta(days=1)
        days_count -= day.weekday() < 5
    return day.isoformat()
