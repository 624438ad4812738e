"""What looks like a secret, or is one of the settings, is taken out; the rest stays.

Rows of docs/reference/security.md: S18.
"""

import pytest
from pydantic import SecretStr

from bridge.settings import Settings
from bridge.support.redaction import Redaction

# At run time, so that no scanner of this repository takes them for real ones.
JWT = "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
API_KEY = "sk-" + "ant-api03-abcdefghijklmnop"


def redacted(value: object) -> object:
    settings = Settings.model_construct(
        database_url=SecretStr("postgresql://app:p%40ss%20word@db/app"),
        redis_url=SecretStr("redis+sentinel://:redis-canary@cache,other/main/0?sentinel_password=watch-canary"),
        supabase_jwt_secret=SecretStr("jwt canary\nof two lines"),
        dashboard_password=SecretStr(""),
    )
    return Redaction(settings).apply(value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("p@ss word, p%40ss%20word, redis-canary and watch-canary", "***, ***, *** and ***"),
        ("a jwt canary\nof two lines here", "a *** here"),
        ("at postgresql://other:geheim@host/db now", "at postgresql://other:***@host/db now"),
        ("redis://:gehe@im@host/0", "redis://:***@host/0"),
        (f"token {JWT}.", "token ***."),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ('{"password": "geheim"}', '{"password": ***'),
        ("API_KEY=geheim", "API_KEY=***"),
        (f"key {API_KEY}!", "key ***!"),
        ("ghp_" + "a" * 36, "***"),
        ("3 workers, queues coding, reports", "3 workers, queues coding, reports"),
        ("", ""),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_texts_are_found_wherever_they_are() -> None:
    value = {"a": ["redis-canary", {"b": "x redis-canary"}], "n": 7, "none": None, "yes": True}

    assert redacted(value) == {"a": ["***", {"b": "x ***"}], "n": 7, "none": None, "yes": True}
