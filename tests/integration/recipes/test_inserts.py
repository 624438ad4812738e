"""Each recipe of docs/how-to/insert-jobs.md as it stands there: the job comes and goes with the order."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.recipes.postgrest import PostgrestStandIn
from tests.support.commands import PLAIN
from tests.support.pages import Block, blocks
from tests.support.rows import Rows

ROOT = Path(__file__).parents[3]
RECIPES = list(blocks(ROOT / "docs" / "how-to" / "insert-jobs.md"))
NODE = Path(sys.prefix) / "node" / "node_modules"
# Django reads the settings of a project; a script has none. The others need nothing.
OF_DJANGO = """
        import os, django
        from django.conf import settings
        from urllib.parse import urlsplit
        url = urlsplit(os.environ["DATABASE_URL"])
        settings.configure(DATABASES={"default": {
            "ENGINE": "django.db.backends.postgresql", "NAME": url.path[1:], "HOST": url.hostname, "PORT": url.port,
            "USER": url.username, "PASSWORD": url.password,
        }})
        django.setup()
"""
# A second order is refused at the commit of its job: without a transaction around both, nothing refuses it.
ORDERS = """
    CREATE TABLE orders (id int);
    CREATE FUNCTION refuse_second() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT count(*) FROM public.coding_jobs WHERE payload = jsonb_build_object('order', NEW.id)) > 1 THEN
            RAISE 'a second order' USING ERRCODE = 'unique_violation';
        END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER refuse_second AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse_second();
"""


def recipes(language: str) -> list[Block]:
    return [block for block in RECIPES if block.language == language]


@pytest.fixture
def orders(rows: Rows) -> Rows:
    rows.all(ORDERS)
    return rows


@pytest.fixture
def supabase(web_roles: None, orders: Rows, dsn: str) -> Iterator[PostgrestStandIn]:
    # The roles came before the database, so that it is gone, with what they may do in it, before they go.
    for block in recipes("sql"):
        orders.all(block.code)
    with PostgrestStandIn(dsn) as server:
        yield server


@pytest.fixture(scope="session")
def node() -> str:
    program = shutil.which("node")
    if program and NODE.is_dir():
        return program
    if os.environ.get("NODE_CLIENTS") == "required":
        pytest.fail("no Node with its clients: scripts/install-node-clients.sh .venv")
    pytest.skip("no Node with its clients: scripts/install-node-clients.sh .venv")


def check(order_twice: list[str], folder: Path, rows: Rows, **environment: str) -> None:
    """The command stores order 7, and then order 7 again."""
    done = subprocess.run(
        order_twice, cwd=folder, env=PLAIN | environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["stored", "refused"], done.stderr
    assert rows.all("SELECT id FROM orders") == [{"id": 7}]
    assert rows.all("SELECT actor, payload, status FROM coding_jobs") == [
        {"actor": "build_report", "payload": {"order": 7}, "status": "pending"}
    ]


@pytest.mark.parametrize("recipe", recipes("python"), ids=lambda block: block.section)
def test_python(recipe: Block, orders: Rows, dsn: str, tmp_path: Path) -> None:
    call = "asyncio.run(place_order(7))" if "async def" in recipe.code else "place_order(7)"
    twice = f"import asyncio\n{call}\nprint('stored')\ntry:\n    {call}\nexcept Exception:\n    print('refused')\n"
    before = textwrap.dedent(OF_DJANGO) if "django" in recipe.code else ""
    (tmp_path / "recipe.py").write_text(f"{before}\n{recipe.code}\n{twice}")

    check([sys.executable, "-W", "error", "recipe.py"], tmp_path, orders, DATABASE_URL=dsn)


def run_node(recipe: Block, node: str, folder: Path, rows: Rows, **environment: str) -> None:
    (folder / "node_modules").symlink_to(NODE)
    twice = (
        "await placeOrder(7);\nconsole.log('stored');\n"
        "await placeOrder(7).then(() => console.log('stored'), () => console.log('refused'));\n"
    )
    (folder / "recipe.mjs").write_text(recipe.code + twice)
    check([node, "recipe.mjs"], folder, rows, **environment)


def test_node_with_pg(node: str, orders: Rows, dsn: str, tmp_path: Path) -> None:
    (recipe,) = (block for block in recipes("js") if block.section == "Node, with pg")

    run_node(recipe, node, tmp_path, orders, DATABASE_URL=dsn)


def test_supabase(node: str, supabase: PostgrestStandIn, orders: Rows, tmp_path: Path) -> None:
    (recipe,) = (block for block in recipes("js") if block.section == "Supabase")

    run_node(recipe, node, tmp_path, orders, SUPABASE_URL=supabase.url, SUPABASE_KEY="a-key")

    assert supabase.requests == [("/rest/v1/rpc/place_order", {"p_order": 7})] * 2


def test_the_request_of_supabase_without_node(supabase: PostgrestStandIn, orders: Rows) -> None:
    """What supabase-js sends, for machines without Node."""
    first = supabase.post("/rest/v1/rpc/place_order", json.dumps({"p_order": 7}))
    second = supabase.post("/rest/v1/rpc/place_order", json.dumps({"p_order": 7}))

    assert (first, second) == (200, 409)
    assert orders.value("SELECT count(*) FROM coding_jobs") == 1


def test_every_recipe_is_run() -> None:
    assert [block.section for block in recipes("js")] == ["Node, with pg", "Supabase"]
    assert len(recipes("python")) == 7
    assert {block.language for block in RECIPES} == {"python", "js", "sql"}
