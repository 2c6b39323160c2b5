"""What the bank can do for a person: open a case, start an identity check, send a code, lock the app.

In: ids and the step's idempotency key. Out: a receipt, the same for the same key.
"""

from services.bank.calendar import TODAY, in_working_days
from services.bank.lookups import Lookups
from services.bank.records import Receipt
from services.bank.store import Effect

CASE_DAYS_COUNT = 10
"""Working days within which a case is answered."""


class ServiceEffects(Lookups):
    """The effects that move no money and no card; part of `Bank`."""

    def open_case(self, customer: str, kind: str, subject: str, *, idempotency_key: str) -> Receipt:
        """Open a case, unless one about the same subject is open.

        Args:
            customer: The customer's id.
            kind: `unknown payment`, `cash difference`, `missing transfer`, …
            subject: Id of what it is about; empty for nothing on record.
            idempotency_key: One case per key.

        Returns:
            The case's id, and the day by which it is answered.

        Raises:
            UnknownCustomerError: There is no such customer.
        """
        self.customer(customer)
        answer_by = in_working_days(CASE_DAYS_COUNT)

        def act() -> Receipt:
            for case in self.cases(customer):
                if case.status == "open" and (case.kind, case.subject) == (kind, subject):
                    return Receipt(case.id, False, f"{kind} {subject}".strip(), 0, "GBP", answer_by)
            case_id = f"D-{self._store.next_number()}"
            self._store.change(
                "INSERT INTO cases VALUES (?, ?, ?, ?, 'open', ?)", case_id, customer, kind, subject, TODAY
            )
            return Receipt(case_id, True, f"{kind} {subject}".strip(), 0, "GBP", answer_by)

        return self._store.apply(Effect("open_case", idempotency_key, customer), act)

    def start_identity_check(self, customer: str, *, idempotency_key: str) -> Receipt:
        """Start an identity check, unless one is under way or passed.

        Raises:
            UnknownCustomerError: There is no such customer.
        """
        self.customer(customer)

        def act() -> Receipt:
            newest = self.identity_check(customer)
            if newest is not None and newest.status != "failed":
                return Receipt(newest.id, False, f"identity check {newest.status}", 0, "GBP", newest.started_on)
            check_id = f"I-{self._store.next_number()}"
            sql = "INSERT INTO identity_checks VALUES (?, ?, 'started', '', ?)"
            self._store.change(sql, check_id, customer, TODAY)
            return Receipt(check_id, True, "identity check started", 0, "GBP", TODAY)

        return self._store.apply(Effect("start_identity_check", idempotency_key, customer), act)

    def send_link(self, customer: str, purpose: str, *, idempotency_key: str) -> Receipt:
        """Send a one-time link to the customer's e-mail address.

        Args:
            customer: The customer's id.
            purpose: What the link is for: `new passcode`, `change of details`, …
            idempotency_key: One link per key.

        Returns:
            `detail`: purpose and address.

        Raises:
            UnknownCustomerError: There is no such customer.
        """
        found = self.customer(customer)

        def act() -> Receipt:
            return Receipt(customer, True, f"{purpose}, to {found.email}", 0, "GBP", TODAY)

        return self._store.apply(Effect("send_link", idempotency_key, customer), act)

    def lock_app(self, customer: str, *, idempotency_key: str) -> Receipt:
        """Sign every device of a customer out and keep them out.

        Raises:
            UnknownCustomerError: There is no such customer.
        """
        self.customer(customer)

        def act() -> Receipt:
            sql = "UPDATE customers SET app = 'locked' WHERE id = ? AND app <> 'locked'"
            changed = self._store.change(sql, customer) == 1
            return Receipt(customer, changed, "app access locked", 0, "GBP", TODAY)

        return self._store.apply(Effect("lock_app", idempotency_key, customer), act)
