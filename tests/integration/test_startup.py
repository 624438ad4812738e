"""The checks of both stores before a process starts."""

import pytest
from pydantic import SecretStr

from bridge.errors import NamespaceTakenError, SchemaError
from bridge.settings import Settings
from bridge.startup import check_stores
from bridge.transport.client import connect_redis


def test_a_database_without_the_schema_is_refused(settings: Settings, empty_dsn: str) -> None:
    elsewhere = settings.model_copy(update={"database_url": SecretStr(empty_dsn)})
    client = connect_redis(elsewhere.redis_address())

    with pytest.raises(SchemaError, match="mobvibe migrate up"):
        check_stores(elsewhere, client)


def test_a_namespace_of_another_database_is_refused(settings: Settings) -> None:
    client = connect_redis(settings.redis_address())
    client.set("mobvibe:__database__", "4711 theirs")

    with pytest.raises(NamespaceTakenError, match="belongs to the database 'theirs'"):
        check_stores(settings, client)
