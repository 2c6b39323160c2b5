"""`examples/requests.mjs`: a program in another language reaches a served team."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.requests import served

EXAMPLE = Path(__file__).parents[2] / "examples" / "requests.mjs"
AMQPLIB = "amqplib@^0.10.4"
PATIENCE_S = 60


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example in a folder that has amqplib."""
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")
    folder = tmp_path_factory.mktemp("node")
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(folder), AMQPLIB]
    done = subprocess.run(install, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install {AMQPLIB}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    return Path(shutil.copy(EXAMPLE, folder))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hello", "completed: said hello"),
        ("ask", "waiting: which one?"),
        ("", "rejected: text is empty; it needs at least one visible character"),
    ],
)
async def test_a_node_program_gets_its_answer(
    program: Path, amqp_url: str, tmp_path: Path, text: str, told: str
) -> None:
    async with served(amqp_url, tmp_path):
        process = await asyncio.create_subprocess_exec(
            "node",
            str(program),
            text,
            env=os.environ | {"AMQP_URL": amqp_url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate()
    assert (process.returncode, out.decode(), err.decode()) == (0, told + "\n", "")
