"""The bank's records as the agents see them: frozen, JSON-able, amounts in minor units.

In: rows of the store. Out: results of steps; their texts are the facts that answers state.
"""

from dataclasses import dataclass


def money(amount_minor: int, currency: str) -> str:
    """Return an amount of minor units as text, such as `180.00 GBP`."""
    return f"{amount_minor / 100:,.2f} {currency}"


def rate_text(rate_millionths: int) -> str:
    """Return a rate given in millionths with four decimals, such as `1.1642`."""
    return f"{rate_millionths / 1_000_000:.4f}"


@dataclass(frozen=True, slots=True)
class Customer:
    """A person with accounts at the bank."""

    id: str
    name: str
    email: str
    phone: str
    address: str
    city: str
    country: str
    born: str
    """Date of birth, `YYYY-MM-DD`."""
    app: str
    """`open`, or `locked` after the phone was reported lost."""

    @property
    def first_name(self) -> str:
        """The name to address the customer by."""
        return self.name.split()[0]


@dataclass(frozen=True, slots=True)
class Account:
    """Money in one currency."""

    id: str
    customer: str
    currency: str
    balance_minor: int
    """What can be spent now; pending payments are already taken off."""
    status: str
    """`open | closed`."""
    iban: str
    top_up_below_minor: int
    """Automatic top-up when the balance falls below this; 0: switched off."""
    top_up_amount_minor: int

    @property
    def balance(self) -> str:
        """The balance as text."""
        return money(self.balance_minor, self.currency)


@dataclass(frozen=True, slots=True)
class Card:
    """A plastic, virtual or disposable card."""

    id: str
    customer: str
    kind: str
    """`physical | virtual | disposable`."""
    network: str
    """`Visa | Mastercard`."""
    last4: str
    status: str
    """`active | inactive | frozen | retained`: inactive until activated, retained by a cash machine."""
    expires: str
    """Last month of validity, `YYYY-MM`."""
    pin: str
    """`ok | blocked | none`; virtual cards have none."""
    contactless: str
    """`on | off`."""
    reason: str
    """Why the card is in this state, in a few words; may be empty."""

    @property
    def label(self) -> str:
        """How a customer knows the card: kind, network, last digits."""
        kind = "" if self.kind == "physical" else f"{self.kind} "
        return f"{kind}{self.network} ending {self.last4}"

    @property
    def state(self) -> str:
        """The status, with the reason where it says more."""
        is_told = self.reason and self.reason != self.status
        return f"{self.status} ({self.reason})" if is_told else self.status


@dataclass(frozen=True, slots=True)
class Transaction:
    """One movement of money, also one that did not happen."""

    id: str
    customer: str
    kind: str
    """`card_payment | direct_debit | withdrawal | deposit | transfer_out | transfer_in | top_up |
    exchange`."""
    status: str
    """`pending | completed | declined | failed | reverted | cancelled | refunded | refund_due`."""
    amount_minor: int
    currency: str
    fee_minor: int
    counterparty: str
    booked_on: str
    """`YYYY-MM-DD`."""
    due_on: str
    """When a pending movement is expected to end, `YYYY-MM-DD`; empty where it has ended."""
    card_last4: str
    """The card used; empty for transfers and direct debits."""
    flag: str
    """`unusual` (by the bank's own checks), `short` (a machine's count differs), or empty."""
    reason: str
    """Why the movement has this status or fee, in a few words; may be empty."""
    foreign_minor: int
    """The amount in `foreign_currency`; 0 where nothing was converted. For `short`: what was paid out."""
    foreign_currency: str
    rate_millionths: int
    """Units of `foreign_currency` for one of `currency`, times 1,000,000; 0 without conversion."""

    @property
    def amount(self) -> str:
        """The amount as text."""
        return money(self.amount_minor, self.currency)

    @property
    def fee(self) -> str:
        """The fee as text."""
        return money(self.fee_minor, self.currency)

    @property
    def foreign(self) -> str:
        """The converted amount as text."""
        return money(self.foreign_minor, self.foreign_currency)

    @property
    def label(self) -> str:
        """How a customer knows the movement: amount, counterparty, day."""
        return f"{self.amount}, {self.counterparty}, {self.booked_on}"


@dataclass(frozen=True, slots=True)
class Beneficiary:
    """Somebody the customer sends money to."""

    id: str
    customer: str
    name: str
    iban: str
    status: str
    """`allowed | refused`."""
    reason: str


@dataclass(frozen=True, slots=True)
class Case:
    """Something the bank's people look into."""

    id: str
    customer: str
    kind: str
    subject: str
    """Id of the transaction, card or beneficiary it is about; empty for none."""
    status: str
    """`open | closed`."""
    opened_on: str


@dataclass(frozen=True, slots=True)
class Order:
    """A card on its way."""

    id: str
    customer: str
    kind: str
    """`replacement | renewal | spare | new`."""
    network: str
    status: str
    """`ordered | posted | delivered`."""
    ordered_on: str
    arrives_on: str


@dataclass(frozen=True, slots=True)
class IdentityCheck:
    """The newest identity check of a customer."""

    id: str
    customer: str
    status: str
    """`started | review | passed | failed`."""
    reason: str
    started_on: str


@dataclass(frozen=True, slots=True)
class Tariff:
    """One line of the bank's fees, limits and terms."""

    name: str
    amount_minor: int
    """The fee or limit, in minor units of `currency`; 0 for free or where only `terms` count."""
    currency: str
    basis_points: int
    """The fee as hundredths of a per cent of the amount; 0 for none."""
    terms: str

    @property
    def amount(self) -> str:
        """The fee or limit as text."""
        return money(self.amount_minor, self.currency)

    @property
    def percent(self) -> str:
        """The fee in per cent, as text."""
        return f"{self.basis_points / 100:g} %"


@dataclass(frozen=True, slots=True)
class Rate:
    """What the bank gives for one unit of `base` today."""

    base: str
    quote: str
    rate_millionths: int

    @property
    def label(self) -> str:
        """The rate as text."""
        return f"1 {self.base} = {rate_text(self.rate_millionths)} {self.quote}"


@dataclass(frozen=True, slots=True)
class Machine:
    """A cash machine without a fee of its own."""

    id: str
    city: str
    place: str
    networks: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an effect did; the same key gives the same receipt again."""

    reference: str
    """Id of the card, order, case, transaction, … that the effect made or changed."""
    changed: bool
    """False: it was so already, and nothing was done."""
    detail: str
    amount_minor: int
    currency: str
    date: str
    """The date that matters, `YYYY-MM-DD`: of the effect, or of the arrival of an order."""

    @property
    def amount(self) -> str:
        """The amount as text."""
        return money(self.amount_minor, self.currency)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger: an effect, and how often it was attempted under its key."""

    key: str
    effect: str
    customer: str
    detail: str
    amount_minor: int
    at: str
    """When it took effect, ISO 8601 in UTC."""
    attempts: int
    """Calls with this key, 1-based; the effect itself happened once."""
