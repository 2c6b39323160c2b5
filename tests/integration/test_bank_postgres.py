"""The bank in PostgreSQL keeps the contract, and its effects survive what a server and a network do."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from services.bank import Bank, BankUnavailableError, BankUrlError, EffectRefusedError, KeyReusedError
from services.bank import postgres_store as store_module
from services.bank.postgres_store import PostgresStore
from services.bank.records import Receipt
from services.bank.store import Effect

pytest.register_assert_rewrite("tests.unit.services.bank_contract")

from tests.unit.services.bank_contract import BankContract, balance, everything  # noqa: E402  # rewritten from here on


@pytest.fixture
def bank_url(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture
def bank(bank_url: str) -> Iterator[Bank]:
    opened = Bank.open(bank_url)
    yield opened
    opened.close()


@pytest.fixture
def new_url(admin: psycopg.Connection, postgres_url: str) -> Iterator[str]:
    schema = f"bank_{uuid4().hex[:12]}"
    yield postgres_url.partition("?")[0] + f"?search_path={schema}"
    admin.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture
def admin(postgres_url: str) -> Iterator[psycopg.Connection]:
    """A connection of somebody else, with nothing on its search path but what it asks for."""
    with psycopg.connect(postgres_url.partition("?")[0], autocommit=True) as connection:
        yield connection


def schema_of(url: str) -> str:
    return url.partition("search_path=")[2]


def store_of(bank: Bank) -> PostgresStore:
    assert isinstance(bank._store, PostgresStore)
    return bank._store


class TestPostgresBank(BankContract):
    """The contract over a schema."""


class Proxy:
    """A TCP proxy before the server that loses the connection where `cuts` says so."""

    def __init__(self, url: str, *, cuts: Callable[[bytes], bool] = lambda sent: False) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._cuts = cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        login = parts.netloc.rpartition("@")[0]
        host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        query = "&".join(part for part in (parts.query, "sslmode=disable") if part)
        self.url = parts._replace(netloc=f"{login}@{host}", query=query).geturl()
        self.connections = 0
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Stop listening and cut what is open."""
        # A blocked accept() does not see close(); it does see shutdown().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._open.append(client)
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        """Forward one request and its whole reply at a time: the client never sends before it has its answer."""
        with client, socket.create_connection(self._server) as server, suppress(OSError):
            while sent := client.recv(65536):
                server.sendall(sent)
                reply = whole_reply(server)
                if self._cuts(sent):
                    return
                client.sendall(reply)


def whole_reply(server: socket.socket) -> bytes:
    """Read until the server waits for the client: it is ready for a query, or asks for a password."""
    data = b""
    while True:
        more = server.recv(65536)
        data += more
        rest, last = data, b""
        while len(rest) >= 5 and len(rest) >= (size := 1 + int.from_bytes(rest[1:5], "big")):
            last, rest = rest[:size], rest[size:]
        asks = last[:1] == b"R" and int.from_bytes(last[5:9], "big") in (3, 5, 10, 11)
        if not more or (not rest and (asks or last[:1] in (b"Z", b"E"))):
            return data


def test_a_lost_connection_is_opened_again(bank: Bank, admin: psycopg.Connection) -> None:
    first = bank.refund("T-1005", idempotency_key="one")
    for _ in range(3):
        pid = bank._store.count("SELECT pg_backend_pid()")
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert bank.refund("T-1005", idempotency_key="one") == first
        assert bank._store.count("SELECT pg_backend_pid()") != pid
    assert [entry.attempts for entry in bank.ledger()] == [4]


def test_a_transaction_cut_in_the_middle_is_run_again_and_takes_effect_once(
    bank: Bank, admin: psycopg.Connection
) -> None:
    before, runs = balance(bank), []

    def act() -> Receipt:
        bank._store.change("UPDATE accounts SET balance_minor = balance_minor + 5 WHERE id = 'A-1'")
        runs.append(pid := bank._store.count("SELECT pg_backend_pid()"))
        if len(runs) < 3:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        return Receipt(bank.account("maya").id, True, "five", 5, "GBP", "2026-03-02")

    bank._store.apply(Effect("gift", "one", "maya"), act)
    assert len(runs) == 3
    assert balance(bank) == before + 5
    assert [(entry.effect, entry.attempts) for entry in bank.ledger()] == [("gift", 1)]


def test_a_commit_whose_reply_is_lost_takes_effect_once(bank: Bank, bank_url: str) -> None:
    before, cut = balance(bank), []

    def cuts(sent: bytes) -> bool:
        if b"COMMIT" in sent and not cut:
            cut.append(sent)
            return True
        return False

    with closing(Proxy(bank_url, cuts=cuts)) as proxy, closing(Bank.open(proxy.url)) as far:
        receipt = far.refund("T-1005", idempotency_key="one")
        assert (len(cut), proxy.connections) == (1, 2)
    assert receipt.changed
    assert balance(bank) == before + receipt.amount_minor
    # The second transaction found what the first had done, and counted itself.
    assert [entry.attempts for entry in bank.ledger()] == [2]


def test_a_server_that_stays_away_is_told_as_passing(bank_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Bank.open(bank_url).close()
    proxy = Proxy(bank_url)
    with closing(proxy), closing(Bank.open(proxy.url)) as far:
        proxy.close()
        monkeypatch.setattr(store_module, "PATIENCE_S", 0.3)
        with pytest.raises(BankUnavailableError, match="the bank does not answer") as raised:
            far.refund("T-1005", idempotency_key="one")
        assert raised.value.disposition == "retry"
        with pytest.raises(BankUnavailableError):
            far.customers()
        with pytest.raises(BankUrlError, match="cannot be opened"):
            Bank.open(proxy.url)


def test_a_closed_bank_stays_closed(bank_url: str) -> None:
    bank = Bank.open(bank_url)
    bank.close()
    with pytest.raises(BankUnavailableError, match="closed by this process"):
        bank.customers()


def test_one_key_for_two_customers_at_once_is_refused_to_one_of_them(bank: Bank, bank_url: str) -> None:
    """The second waits at the ledger's key, finds it taken, and is run again to learn by whom."""
    with closing(Bank.open(bank_url)) as other:
        both_in = threading.Barrier(2)
        waited: set[Bank] = set()

        def act(of: Bank) -> Callable[[], Receipt]:
            def acted() -> Receipt:
                if of not in waited:
                    waited.add(of)
                    both_in.wait(timeout=30)
                return Receipt("x", True, "x", 0, "GBP", "2026-03-02")

            return acted

        def race(one: tuple[Bank, str]) -> str:
            try:
                one[0]._store.apply(Effect("gift", "one", one[1]), act(one[0]))
            except KeyReusedError:
                return "refused"
            return "done"

        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(race, [(bank, "maya"), (other, "tomas")])) == ["done", "refused"]
    assert len(bank.ledger()) == 1


def test_two_exchanges_at_once_cannot_spend_the_same_money(bank: Bank, bank_url: str) -> None:
    held = balance(bank)
    with closing(Bank.open(bank_url)) as other, ThreadPoolExecutor(2) as threads:

        def spend(turn: int) -> bool:
            try:
                (bank, other)[turn % 2].exchange("maya", held // 2 + 1, "GBP", "EUR", idempotency_key=f"k{turn}")
            except EffectRefusedError:
                return False
            return True

        assert sum(threads.map(spend, range(8))) == 1
    assert balance(bank) == held - (held // 2 + 1)


def test_the_schema_is_bank_unless_the_url_says_otherwise(admin: psycopg.Connection, bank_url: str) -> None:
    database = f"bank_{uuid4().hex[:12]}"
    admin.execute(f"CREATE DATABASE {database}")
    try:
        url = urlsplit(bank_url)._replace(path=f"/{database}", query="").geturl()
        Bank.open(url).close()
        with psycopg.connect(url) as connection:
            found = connection.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'ledger'").fetchall()
        assert found == [("bank",)]
    finally:
        admin.execute(f"DROP DATABASE {database} WITH (FORCE)")


def test_tables_of_somebody_else_are_left_alone(admin: psycopg.Connection, bank_url: str) -> None:
    admin.execute(f"CREATE TABLE {schema_of(bank_url)}.cards (mine TEXT)")
    with pytest.raises(BankUrlError, match='relation "cards" already exists'):
        Bank.open(bank_url)
    left = admin.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema_of(bank_url)])
    assert left.fetchall() == [("cards",)]


def test_tables_of_another_program_beside_it_do_no_harm(admin: psycopg.Connection, bank_url: str) -> None:
    admin.execute(f"CREATE TABLE {schema_of(bank_url)}.runs (mine TEXT)")
    with closing(Bank.open(bank_url)) as bank:
        assert everything(bank)


def test_a_bank_of_a_newer_desk_is_refused(bank: Bank, bank_url: str) -> None:
    bank._store.change("UPDATE bank_version SET version = 99")
    with pytest.raises(BankUrlError, match=r"version 99; expected at most 1"):
        Bank.open(bank_url)


def test_a_user_who_was_given_a_schema_needs_no_more_rights(admin: psycopg.Connection, bank_url: str) -> None:
    user = f"teller_{uuid4().hex[:12]}"
    admin.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'teller'")
    try:
        admin.execute(f"GRANT USAGE, CREATE ON SCHEMA {schema_of(bank_url)} TO {user}")
        parts = urlsplit(bank_url)
        url = parts._replace(netloc=f"{user}:teller@{parts.netloc.rpartition('@')[2]}").geturl()
        with closing(Bank.open(url)) as bank:
            assert bank.lock_app("maya", idempotency_key="one").changed
    finally:
        admin.execute(f"DROP OWNED BY {user}")
        admin.execute(f"DROP ROLE {user}")


def test_a_wrong_password_is_told_at_once_and_not_shown(bank_url: str) -> None:
    parts = urlsplit(bank_url)
    url = parts._replace(netloc=f"nobody_here:secret@{parts.netloc.rpartition('@')[2]}").geturl()
    with pytest.raises(BankUrlError, match="nobody_here") as raised:
        Bank.open(url)
    assert "secret" not in str(raised.value)
    # An error that may pass would have been waited for first, and be told as a `BankUnavailableError`.
    assert isinstance(raised.value.__cause__, psycopg.OperationalError)


def test_ids_sort_by_bytes_whatever_the_locale(bank: Bank) -> None:
    collations = bank._store.rows(
        "SELECT DISTINCT collation_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND data_type = 'text'",
        (),
    )
    assert collations == [{"collation_name": "C"}]
