"""REDIS_URL taken apart: what is asked for the primary, what serves it, and what may be shown."""

from pathlib import Path

import pytest
from redis.connection import parse_url

from bridge.errors import SettingsError
from bridge.settings import load_settings
from bridge.settings.redis_address import check_files, parse_redis_address, shares_a_slot

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "redis-high-availability.md"
SENTINELS = (
    "redis+sentinel://us:ge%40heim@one,two:26380,[::1]:26381/mymaster/3?sentinel_password=a%2Fb&max_connections=9"
)


def test_sentinels_have_a_login_of_their_own_and_name_a_primary() -> None:
    address = parse_redis_address(SENTINELS)

    assert (address.kind, address.service) == ("sentinel", "mymaster")
    assert [parse_url(seed) for seed in address.seeds] == [
        {"host": "one", "port": 26379, "password": "a/b"},
        {"host": "two", "port": 26380, "password": "a/b"},
        {"host": "::1", "port": 26381, "password": "a/b"},
    ]
    server = parse_url(address.url)
    assert (server["username"], server["password"], server["db"]) == ("us", "ge@heim", 3)
    assert "sentinel_password" not in server


def test_a_plus_in_an_option_is_a_blank_as_the_page_says() -> None:
    for value, password in (("a+b", "a b"), ("a%2Bb%26c", "a+b&c")):
        address = parse_redis_address(f"redis+sentinel://:x+y&z@h/m?sentinel_password={value}")
        assert parse_url(address.seeds[0])["password"] == password
        assert parse_url(address.url)["password"] == "x+y&z"

    text = " ".join(PAGE.read_text("utf-8").split())
    assert "in a value of an option `+` and `&`, too: a bare `+` is a blank there" in text


def test_the_nodes_of_a_cluster_have_one_login() -> None:
    address = parse_redis_address("rediss+cluster://:geheim@one,two:7000?ssl_ca_certs=/ca.pem")

    options = [parse_url(seed) for seed in address.seeds]
    assert [(one["host"], one["port"], one["password"]) for one in options] == [
        ("one", 6379, "geheim"), ("two", 7000, "geheim"),
    ]  # fmt: skip
    assert {one["ssl_ca_certs"] for one in options} == {"/ca.pem"}


@pytest.mark.parametrize(
    ("address", "where", "road"),
    [
        ("redis://:geheim@h:6380/1", "h:6380", "single server"),
        ("rediss://:geheim@h", "h:6379", "single server over TLS"),
        ("unix:///run/redis.sock", "/run/redis.sock", "single server"),
        (
            SENTINELS.replace("[::1]", "three"),
            "'mymaster' of the Sentinels one:26379,two:26380,three:26381",
            "Sentinel",
        ),
        ("rediss+cluster://:geheim@one,two", "the cluster of one:6379,two:6379", "Cluster over TLS"),
    ],
)
def test_what_is_shown_has_no_password(address: str, where: str, road: str) -> None:
    parsed = parse_redis_address(address)

    assert (parsed.where, parsed.road) == (where, road)
    assert "heim" not in repr(parsed)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("redis+sentinel://:geheim@h:26379", "does not say which primary"),
        ("redis+sentinel://:geheim@h/mymaster/jobs", "the database is not a number"),
        ("redis+sentinel://:geheim@h,,i/mymaster", "names no host between two commas"),
        ("redis+sentinel://:geheim@h1, h2/mymaster", "has a blank in the name of a host"),
        ("redis+sentinel://:geheim@h1:26379 ,h2/mymaster", "has a blank in the name of a host"),
        ("redis+cluster://:geheim@h1,h2 ", "has a blank in the name of a host"),
        ("redis+sentinel://:geheim@h:0/mymaster", "names port 0"),
        ("redis+sentinel://:ge/heim@h/mymaster", "write that as a percent code"),
        ("redis+sentinel://:ge#heim@h/mymaster", "write that as a percent code"),
        ("redis+sentinel://h/mymaster?nonsense=1", "has the option 'nonsense', which is not known"),
        ("redis+cluster://:geheim@h/1", "a cluster has only 0"),
        ("redis+cluster://h?sentinel_password=geheim", "which only Sentinels need"),
        ("redis+cluster://h?db=3", "a cluster has only 0"),
        ("redis://h?protocol=4", "another protocol than one of 2, 3"),
        ("redis+sentinel://h/m?protocol=geheim", "another protocol than one of 2, 3"),
        ("unix://:ge/heim@/run/redis.sock", "write that as a percent code"),
        ("unix://:ge?heim@/run/redis.sock", "write that as a percent code"),
        ("unix://u:ge#heim@/run/redis.sock", "write that as a percent code"),
        ("redis+proxy://h", "it must begin with redis://"),
        ("redis://h?sentinel_password=geheim", "which only Sentinels need"),
        ("redis://h?ssl_ca_certs=/geheim", "which is for TLS: write rediss://"),
        ("rediss://h?ssl_cert_reqs=geheim", "another ssl_cert_reqs than one of none, optional, required"),
        ("rediss://h?ssl_check_hostname=geheim", "another ssl_check_hostname than true or false"),
        ("rediss+cluster://h?ssl_check_hostname=", "another ssl_check_hostname than true or false"),
        ("rediss://h?ssl_nonsense=1", "has the option 'ssl_nonsense', which is not known"),
        ("redis://:geheim@h:6379,i:6379/0", "several hosts"),
    ],
)
def test_a_malformed_address_is_explained_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, address: str, message: str
) -> None:
    monkeypatch.setenv("REDIS_URL", address)

    with pytest.raises(SettingsError, match=message) as raised:
        load_settings()

    assert str(raised.value).startswith("REDIS_URL ")
    assert "heim" not in str(raised.value)


def test_a_file_of_tls_must_be_readable(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    check_files(parse_redis_address(f"rediss://h?ssl_ca_certs={tmp_path}/ca.pem"))

    with pytest.raises(ValueError, match=r"ssl_ca_certs=/nowhere/ca.pem: No such file"):
        check_files(parse_redis_address("rediss+cluster://h?ssl_ca_certs=/nowhere/ca.pem"))


def test_a_folder_of_authorities_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    check_files(parse_redis_address(f"rediss://h?ssl_ca_path={tmp_path}"))

    with pytest.raises(ValueError, match=r"ssl_ca_path=/nowhere: No such file"):
        check_files(parse_redis_address("rediss+sentinel://h/m?ssl_ca_path=/nowhere"))
    with pytest.raises(ValueError, match=r"ssl_ca_path=.*: Not a directory"):
        check_files(parse_redis_address(f"rediss://h?ssl_ca_path={tmp_path}/ca.pem"))


@pytest.mark.parametrize("value", ["true", "True", "1", "yes", "false", "FALSE", "0", "no", "n"])
def test_whether_a_certificate_must_name_the_host_is_said_as_the_driver_reads_it(value: str) -> None:
    address = parse_redis_address(f"rediss://h?ssl_check_hostname={value}")

    assert parse_url(address.url)["ssl_check_hostname"] is (value in ("true", "True", "1", "yes"))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("ssl_min_version=1", "ssl_min_version that cannot be used: it is 771 for TLS 1.2"),
        ("ssl_min_version=99999999999999", "ssl_min_version that cannot be used"),
        ("ssl_min_version=TLSv1.2", "ssl_min_version that cannot be used"),
        ("ssl_ciphers=geheim", "ssl_ciphers that cannot be used: it names no cipher"),
        ("ssl_ca_data=geheim", "ssl_ca_data that cannot be used: it is to be the text of a certificate"),
        ("ssl_ca_data=geh%C3%A4im", "ssl_ca_data that cannot be used"),
        ("ssl_keyfile=/dev/null", "ssl_keyfile without ssl_certfile"),
    ],
)
@pytest.mark.parametrize("address", ["rediss://h?", "rediss+sentinel://h/m?", "rediss+cluster://h?"])
def test_an_option_of_tls_that_no_connection_could_use_is_named(address: str, option: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        check_files(parse_redis_address(address + option))

    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize(
    "address", ["unix://us:ge%2Fheim@/run/redis@1.sock", "unix:///run/redis@1.sock?db=2", "redis+cluster://h?db=0"]
)
def test_a_login_before_a_socket_and_database_0_of_a_cluster_are_read(address: str) -> None:
    assert parse_redis_address(address).where


def test_options_of_tls_may_be_used() -> None:
    check_files(parse_redis_address("rediss://h?ssl_min_version=771&ssl_ciphers=ECDHE%2BAESGCM"))


@pytest.mark.parametrize("namespace", ["mobvibe", "{}x", "{mobvibe", "}mobvibe{", "{}{mobvibe}"])
def test_in_a_cluster_the_namespace_needs_a_hash_tag(monkeypatch: pytest.MonkeyPatch, namespace: str) -> None:
    monkeypatch.setenv("REDIS_URL", "redis+cluster://h")
    monkeypatch.setenv("REDIS_NAMESPACE", namespace)

    with pytest.raises(SettingsError, match=r"REDIS_NAMESPACE=\{mobvibe\}"):
        load_settings().redis_address()


@pytest.mark.parametrize("namespace", ["{mobvibe}", "app.{jobs}.x"])
def test_a_hash_tag_is_anywhere_in_the_namespace(namespace: str) -> None:
    assert shares_a_slot(namespace)
