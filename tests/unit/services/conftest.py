"""A freshly seeded bank, and turns of the desk's agents on it."""

import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from baton.testing import make_turn
from services.bank import Bank
from services.team import desk

pytest.register_assert_rewrite("tests.unit.services.bank_contract")

Take = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seeded bank that no test opens: copying it is much faster than seeding."""
    path = tmp_path_factory.mktemp("seeded") / "bank.db"
    Bank.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def bank_url(tmp_path: Path, seeded: Path) -> str:
    shutil.copy(seeded, tmp_path / "bank.db")
    return f"sqlite:///{tmp_path / 'bank.db'}"


@pytest.fixture
def bank(bank_url: str) -> Iterator[Bank]:
    opened = Bank.open(bank_url)
    yield opened
    opened.close()


@pytest.fixture
def take(bank: Bank) -> Take:
    """Take one turn of an agent: `await take("cards", "lost or stolen card", "text", "maya")`."""

    async def taken(agent: str, skill: str | None, text: str, customer: str | None, **changes: Any) -> Any:
        facts = {**({"customer": customer} if customer else {}), **changes.pop("facts", {})}
        handler = desk.agents[agent].handler(skill)
        return await handler(make_turn(text, skill=skill, facts=facts, agent=agent, resources=bank, **changes))

    return taken
