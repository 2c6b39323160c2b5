"""What the bank can do to cards: freeze, activate, order, unblock a PIN, issue a virtual card.

In: ids and the step's idempotency key. Out: a receipt, the same for the same key.
"""

from services.bank.calendar import TODAY, in_working_days
from services.bank.lookups import Lookups
from services.bank.records import Card, Receipt
from services.bank.store import Effect

DELIVERY_DAYS_COUNT = 4
"""Working days from the order of a card to its arrival."""
VIRTUAL_EXPIRES = "2029-03"
"""Last month of validity of every virtual card issued on the business day."""


class CardEffects(Lookups):
    """The effects on cards; part of `Bank`."""

    def freeze_card(self, card: str, reason: str, *, idempotency_key: str) -> Receipt:
        """Stop every payment and withdrawal with a card.

        Args:
            card: The card's id.
            reason: `lost`, `stolen`, `compromised`, `retained`, …; kept on the card.
            idempotency_key: One freeze per key.

        Raises:
            UnknownRecordError: There is no such card.
        """
        found = self.card(card)
        status = "retained" if reason == "retained" else "frozen"

        def act() -> Receipt:
            sql = "UPDATE cards SET status = ?, reason = ? WHERE id = ? AND status <> ?"
            changed = self._store.change(sql, status, reason, card, status) == 1
            return Receipt(card, changed, f"{found.label} {status} ({reason})", 0, "GBP", TODAY)

        return self._store.apply(Effect("freeze_card", idempotency_key, found.customer), act)

    def activate_card(self, card: str, *, idempotency_key: str) -> Receipt:
        """Make a new or found card usable.

        Raises:
            UnknownRecordError: There is no such card.
        """
        found = self.card(card)

        def act() -> Receipt:
            sql = "UPDATE cards SET status = 'active', reason = '' WHERE id = ? AND status <> 'active'"
            changed = self._store.change(sql, card) == 1
            return Receipt(card, changed, f"{found.label} active", 0, "GBP", TODAY)

        return self._store.apply(Effect("activate_card", idempotency_key, found.customer), act)

    def unblock_pin(self, card: str, *, idempotency_key: str) -> Receipt:
        """Give a card its PIN tries back.

        Raises:
            UnknownRecordError: There is no such card.
        """
        found = self.card(card)

        def act() -> Receipt:
            sql = "UPDATE cards SET pin = 'ok' WHERE id = ? AND pin = 'blocked'"
            changed = self._store.change(sql, card) == 1
            return Receipt(card, changed, f"{found.label}: PIN unblocked", 0, "GBP", TODAY)

        return self._store.apply(Effect("unblock_pin", idempotency_key, found.customer), act)

    def order_card(self, customer: str, kind: str, network: str, *, idempotency_key: str) -> Receipt:
        """Order a plastic card, unless one of the same kind and network is on its way.

        Args:
            customer: The customer's id.
            kind: `replacement`, `renewal`, `spare` or `new`.
            network: `Visa` or `Mastercard`.
            idempotency_key: One order per key.

        Returns:
            The order's id, its price (minor units) and the day of arrival.

        Raises:
            UnknownCustomerError: There is no such customer.
        """
        self.customer(customer)
        fee = self.tariff(f"card_{kind}_fee")

        def act() -> Receipt:
            for order in self.orders(customer):
                if order.status != "delivered" and (order.kind, order.network) == (kind, network):
                    return Receipt(order.id, False, f"{kind} {network} card", 0, "GBP", order.arrives_on)
            arrives_on = in_working_days(DELIVERY_DAYS_COUNT)
            order_id = f"O-{self._store.next_number()}"
            self._store.change(
                "INSERT INTO orders VALUES (?, ?, ?, ?, 'ordered', ?, ?)",
                *(order_id, customer, kind, network, TODAY, arrives_on),
            )
            return Receipt(order_id, True, f"{kind} {network} card", fee.amount_minor, fee.currency, arrives_on)

        return self._store.apply(Effect("order_card", idempotency_key, customer), act)

    def issue_virtual_card(self, customer: str, kind: str, *, idempotency_key: str) -> Receipt:
        """Issue a virtual or disposable card at once, unless an active one of the kind is there.

        Args:
            customer: The customer's id.
            kind: `virtual` or `disposable`.
            idempotency_key: One card per key.

        Raises:
            UnknownCustomerError: There is no such customer.
        """
        self.customer(customer)

        def act() -> Receipt:
            for card in self.cards(customer, kind):
                if card.status == "active":
                    return Receipt(card.id, False, card.label, 0, "GBP", TODAY)
            card = self._new_virtual(customer, kind)
            return Receipt(card.id, True, card.label, 0, "GBP", TODAY)

        return self._store.apply(Effect("issue_virtual_card", idempotency_key, customer), act)

    def _new_virtual(self, customer: str, kind: str) -> Card:
        card_id = f"K-{self._store.next_number()}"
        last4 = f"{int(card_id[2:]) * 37 % 10_000:04d}"
        self._store.change(
            "INSERT INTO cards VALUES (?, ?, ?, 'Visa', ?, 'active', ?, 'none', 'off', '')",
            *(card_id, customer, kind, last4, VIRTUAL_EXPIRES),
        )
        return self.card(card_id)
