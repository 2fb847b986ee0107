"""Do the variables of the environment become the settings they stand for?"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db.utils import load_backend
from django.test import override_settings
from hypothesis import example, given
from hypothesis import strategies as st

from django_gmf_router.env import databases
from django_gmf_router.postgres.libpq import search_path_in
from tests.unit.env.conftest import PASSWORD, env_of, refusal

URL = "postgres://gis:pw@db1:5432/office"
REPLICAS = "postgres://gis:pw@db2/office,postgis://gis:pw@db3:5433/office"
LETTERS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1)


def test_one_url_is_a_primary_and_nothing_is_routed() -> None:
    entries, router = databases(env_of({"DATABASE_URL": URL}))

    assert entries == {
        "default": {
            "ENGINE": "django_gmf_router.backends.postgresql",
            "NAME": "office",
            "USER": "gis",
            "PASSWORD": "pw",
            "HOST": "db1",
            "PORT": 5432,
        }
    }
    assert router == {}


def test_replica_urls_become_aliases_in_their_order() -> None:
    entries, router = databases(env_of({"DATABASE_URL": URL, "DATABASE_REPLICA_URLS": REPLICAS}))

    assert list(entries) == ["default", "replica_1", "replica_2"]
    assert router == {"default": {"REPLICAS": ["replica_1", "replica_2"]}}
    assert (entries["replica_1"]["HOST"], entries["replica_2"]["HOST"]) == ("db2", "db3")
    assert entries["replica_2"]["ENGINE"] == "django_gmf_router.backends.postgis"
    assert entries["replica_1"]["TEST"] == entries["replica_2"]["TEST"] == {"MIRROR": "default"}
    assert entries["replica_1"]["OPTIONS"]["options"] == "-c default_transaction_read_only=on"


def test_options_and_atomic_requests_of_a_replica_s_url() -> None:
    query = "?atomic_requests=True&conn_max_age=60&sslmode=require&options=-c%20search_path%3Dmain"
    entries, _ = databases(
        env_of({"DATABASE_URL": URL + query, "DATABASE_REPLICA_URLS": "postgres://gis:pw@db2/office" + query})
    )

    assert entries["default"]["ATOMIC_REQUESTS"] is True
    assert entries["default"]["OPTIONS"] == {"sslmode": "require", "options": "-c search_path=main"}
    assert "ATOMIC_REQUESTS" not in entries["replica_1"]
    assert entries["replica_1"]["CONN_MAX_AGE"] == 60
    assert entries["replica_1"]["OPTIONS"] == {
        "sslmode": "require",
        "options": "-c search_path=main -c default_transaction_read_only=on",
        "connect_timeout": 2,
    }


@pytest.mark.parametrize("value", ["", " ", ",", " ,\n, "])
def test_no_replica_is_no_cluster(value: str) -> None:
    env = env_of({"DATABASE_URL": URL, "DATABASE_REPLICA_URLS": value, "GMF_DB_CHOOSER_MASTER": r"GET /s/.*"})

    entries, router = databases(env)

    assert list(entries) == ["default"]
    assert router == {}


@pytest.mark.parametrize("value", [f"{URL},", f",{URL}", f"  {URL} \n", f"{URL},\n,\n"])
def test_blanks_and_empty_items_around_a_replica_url_do_not_count(value: str) -> None:
    entries, _ = databases(env_of({"DATABASE_URL": URL, "DATABASE_REPLICA_URLS": value}))

    assert list(entries) == ["default", "replica_1"]
    assert entries["replica_1"]["NAME"] == "office"


@pytest.mark.parametrize(
    ("value", "patterns"),
    [
        (r"GET /s/.*", [r"GET /s/.*"]),
        (r"GET /tiles/\d{2,3}/.*", [r"GET /tiles/\d{2,3}/.*"]),
        ("GET /s/.*\nGET /oauth/login", ["GET /s/.*", "GET /oauth/login"]),
        ("\r\n  GET /s/.*  \r\n\r\n GET /l$\r\n", ["GET /s/.*", "GET /l$"]),
        (r'["GET /s/\\d{1,2}", "\\w+ /x"]', [r"GET /s/\d{1,2}", r"\w+ /x"]),
        (' [ "GET /s/.*" ] ', ["GET /s/.*"]),
        ('[\n  "GET /s/.*"\n]', ["GET /s/.*"]),
        (r"[A-Z]+ /x/[0-9]+", [r"[A-Z]+ /x/[0-9]+"]),
    ],
)
@pytest.mark.parametrize(("variable", "key"), [("GMF_DB_CHOOSER_MASTER", "master"), ("GMF_DB_CHOOSER_SLAVE", "slave")])
def test_patterns_are_one_a_line_or_a_json_list(value: str, patterns: list[str], variable: str, key: str) -> None:
    _, router = databases(env_of({"DATABASE_URL": URL, "DATABASE_REPLICA_URLS": URL, variable: value}))

    assert router["default"]["DB_CHOOSER"] == {key: patterns}


@pytest.mark.parametrize("value", ["", "  ", "[]", " [ ] "])
def test_no_pattern_is_no_chooser(value: str) -> None:
    env = env_of({"DATABASE_URL": URL, "DATABASE_REPLICA_URLS": URL, "GMF_DB_CHOOSER_MASTER": value})

    _, router = databases(env)

    assert router == {"default": {"REPLICAS": ["replica_1"]}}


@pytest.mark.parametrize("value", [r'["\w+ /x"]', '["GET /s",]', '["GET /s", 3]', '["GET /s"', '["a",' + 100_000 * "["])
def test_a_broken_json_list_is_refused_and_not_taken_for_a_pattern(value: str) -> None:
    env = env_of({"DATABASE_URL": URL, "DATABASE_REPLICA_URLS": URL, "GMF_DB_CHOOSER_SLAVE": value})

    assert "GMF_DB_CHOOSER_SLAVE is not a JSON list of strings" in refusal(lambda: databases(env))


def test_schemas_are_named_only_where_set() -> None:
    both = env_of(
        {
            "DATABASE_URL": URL,
            "DATABASE_REPLICA_URLS": URL,
            "PGSCHEMA": "main",
            "PGSCHEMA_STATIC": "main_static",
        }
    )
    one = env_of({"DATABASE_URL": URL, "PGSCHEMA": "main", "PGSCHEMA_STATIC": ""})

    assert databases(both)[1]["default"]["SCHEMAS"] == {"MAIN": "main", "STATIC": "main_static"}
    assert databases(one)[1] == {"default": {"REPLICAS": [], "SCHEMAS": {"MAIN": "main"}}}


@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES:UserWarning")
def test_the_search_path_is_left_to_the_engines_so_that_the_site_can_name_where_its_extensions_are() -> None:
    schemas = {"PGSCHEMA": "main", "PGSCHEMA_STATIC": "main_static"}
    env = env_of({"DATABASE_URL": f"{URL}?options=-c%20jit=off", "DATABASE_REPLICA_URLS": URL, **schemas})

    found, router = databases(env)
    router["default"]["SCHEMAS"]["EXTENSIONS"] = "extensions"

    assert found["default"]["OPTIONS"] == {"options": "-c jit=off"}
    with override_settings(DATABASES=found, GMF_ROUTER=router):
        wrapper = load_backend(found["replica_1"]["ENGINE"]).DatabaseWrapper(
            {"TIME_ZONE": None, **found["replica_1"]}, alias="replica_1"
        )
        options = wrapper.get_connection_params()["options"]
    assert search_path_in(options) == ("main", "main_static", "extensions")


def test_a_schema_name_that_cannot_be_used_is_refused_with_its_variable() -> None:
    env = env_of({"DATABASE_URL": URL, "PGSCHEMA_STATIC": "pg_static"})

    assert "PGSCHEMA_STATIC: The schema name 'pg_static' belongs to PostgreSQL" in refusal(lambda: databases(env))


def test_defaults_of_the_env_s_scheme_and_its_prefix_count() -> None:
    env = env_of(
        {"OFFICE_DATABASE_URL": URL},
        OFFICE_DATABASE_REPLICA_URLS=(list, [URL, URL]),
        OFFICE_GMF_DB_CHOOSER_MASTER=(list, ["GET /s/.*"]),
    )
    env.prefix = "OFFICE_"

    _, router = databases(env)

    assert router == {"default": {"REPLICAS": ["replica_1", "replica_2"], "DB_CHOOSER": {"master": ["GET /s/.*"]}}}


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("sqlite:///office.sqlite3", {"ENGINE": "django.db.backends.sqlite3", "NAME": "office.sqlite3"}),
        ("sqlite://:memory:", {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}),
        ("sqlite://", {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}),
        ("postgresql+psycopg2://u:p@h/db", {"ENGINE": "django_gmf_router.backends.postgresql", "HOST": "h"}),
        ("postgis://u:p@[::1]:5433/db", {"ENGINE": "django_gmf_router.backends.postgis", "HOST": "::1"}),
        ("postgres://u:p@h1,h2/db", {"HOST": "h1,h2", "NAME": "db"}),
        ("postgres://u@/db?host=/var/run/postgresql", {"HOST": "", "NAME": "db"}),
        ("postgres:////var/run/postgresql/db", {"HOST": "/var/run/postgresql", "NAME": "db"}),
        ("postgres://?service=office", {"OPTIONS": {"service": "office"}}),
        ("mysql://u:p@/db", {"ENGINE": "django.db.backends.mysql", "HOST": ""}),
    ],
)
def test_urls_of_other_kinds(url: str, entry: dict[str, object]) -> None:
    entries, _ = databases(env_of({"DATABASE_URL": url}))

    assert entry.items() <= entries["default"].items()


BAD_URLS = [
    (f"{PASSWORD}", "is not a database URL"),
    (f"gis:{PASSWORD}@db1/office", "is not a database URL"),
    (f"postgers://gis:{quote(PASSWORD, safe='')}@db1/office", "scheme"),
    (f"{PASSWORD}://gis@db1/office", "scheme"),
    (f"postgres://gis:{PASSWORD}@db1/office", "malformed"),
    (f"postgres://gis:1/{PASSWORD}@db1/office", "malformed"),
    (f"postgres://gis@db1:{PASSWORD}/office", "malformed"),
    ("postgres://gis:pw@db1:54a2/office", "malformed"),
    ("postgres://gis:pw@db1:70000/office", "malformed"),
    ("postgres://gis:pw@db1:-1/office", "malformed"),
    ("postgres://gis:pw@/office", "names no host"),
    ("postgres:///office", "names no host"),
    ("postgres://:5432/office", "names no host"),
    ("postgres://gis@%2Fvar%2Frun/office", "names no host"),
    ("postgres://gis:pw@[db1/office", "names no host"),
    ("postgres://", "names no host"),
    ("postgres://gis:pw@db1", "names no database"),
    ("postgres://gis:pw@db1/", "names no database"),
    ("postgres://gis:pw@db1/?sslmode=require", "names no database"),
    ("sqlite://office.sqlite3", "SQLite"),
]


@pytest.mark.parametrize(("url", "says"), BAD_URLS)
def test_a_bad_url_is_refused_by_the_variable_s_name_without_any_part_of_it(url: str, says: str) -> None:
    text = refusal(lambda: databases(env_of({"DATABASE_URL": url})))

    assert text.startswith("DATABASE_URL ")
    assert says in text
    assert "s3cret" not in text
    assert "w#rd" not in text


@pytest.mark.parametrize(("url", "says"), [bad for bad in BAD_URLS if "," not in bad[0]])
def test_a_bad_replica_url_is_named_by_its_number(url: str, says: str) -> None:
    env = env_of({"DATABASE_URL": URL, "DATABASE_REPLICA_URLS": f"{URL},{url}"})

    text = refusal(lambda: databases(env))

    assert text.startswith("DATABASE_REPLICA_URLS[2], the URL of replica_2,")
    assert says in text
    assert "s3cret" not in text


def test_a_raw_comma_in_a_password_is_refused_and_encoded_it_is_read() -> None:
    raw = env_of({"DATABASE_URL": URL, "DATABASE_REPLICA_URLS": "postgres://gis:s3,cret@db2/office"})
    encoded = env_of({"DATABASE_URL": URL, "DATABASE_REPLICA_URLS": "postgres://gis:s3%2Ccret@db2/office"})

    assert "DATABASE_REPLICA_URLS[1]" in refusal(lambda: databases(raw))
    assert databases(encoded)[0]["replica_1"]["PASSWORD"] == "s3,cret"


@pytest.mark.parametrize("variables", [{}, {"DATABASE_URL": ""}, {"DATABASE_URL": "  "}])
def test_without_a_url_the_message_says_what_to_set(variables: dict[str, str]) -> None:
    assert refusal(lambda: databases(env_of(variables))).startswith("DATABASE_URL is not set: set it to")


def test_a_reference_to_a_variable_that_is_not_set_is_not_taken_for_no_replica() -> None:
    env = env_of({"DATABASE_URL": URL, "DATABASE_REPLICA_URLS": "$NOWHERE"})

    assert "DATABASE_REPLICA_URLS refers to a variable" in refusal(lambda: databases(env))


def test_a_url_may_stand_in_a_file_and_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text(URL, encoding="utf-8")

    class Env(environ.FileAwareEnv):  # type: ignore[misc]
        ENVIRON = environ.fileaware_mapping.FileAwareMapping({"DATABASE_URL_FILE": str(secret)}, cache=False)

    assert databases(Env())[0]["default"]["HOST"] == "db1"
    secret.unlink()
    assert "DATABASE_URL_FILE names a file" in refusal(lambda: databases(Env()))


def test_what_is_no_env_is_refused_with_the_extra_to_install() -> None:
    assert "django-gmf-router[env]" in refusal(lambda: databases({"DATABASE_URL": URL}))  # type: ignore[arg-type]


@given(password=LETTERS, user=LETTERS, name=st.text("abcXYZ_-+ äß", min_size=1))
def test_any_percent_encoded_account_comes_through(password: str, user: str, name: str) -> None:
    url = f"postgres://{quote(user, safe='')}:{quote(password, safe='')}@db1:5432/{quote(name, safe='')}"

    entries, _ = databases(env_of({"DATABASE_URL": url, "DATABASE_REPLICA_URLS": f"{url},{url}"}))

    for entry in entries.values():
        assert (entry["USER"], entry["PASSWORD"], entry["NAME"]) == (user, password, name)


@example(secret="@0/0?", template="postgres://gis:{}@db1:x/office", encode=False)
@given(
    secret=st.text("aZ09:/@#?%,[]{}$\\ ", min_size=1),
    template=st.sampled_from(
        [
            "postgres://gis:{}@db1:x/office",
            "postgres://gis:{}@/office",
            "postgres://gis:{}@db1",
            "nodb://gis:{}@db1/office",
            "{}",
            "gis:{}",
            "postgres://gis:{}@[db1/office",
            "sqlite://{}/x",
        ]
    ),
    encode=st.booleans(),
)
def test_no_refusal_holds_the_password(secret: str, template: str, encode: bool) -> None:
    password = f"s3cret{secret}w0rd"
    url = template.format(quote(password, safe="") if encode else password)
    env = env_of({"DATABASE_URL": URL, "DATABASE_REPLICA_URLS": url})

    text = ""
    try:
        databases(env)
    except ImproperlyConfigured as error:
        text = str(error)

    assert "s3cret" not in text
    assert "w0rd" not in text
    # An @ of the password may end what looks like a URL of another server, and nobody can tell.
    assert text or ("@" in secret and not encode)
