"""Is known before anything changes what a role may not, and does any name of one do?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.clone.databases import Database

SET_FALSE = 160000
OWN = "CREATE TABLE main.own (a int); ALTER TABLE main.own OWNER TO editor"
# What is set up in a schema of gmf's, and how the refusal names it.
FORBIDDEN = [
    (
        f"GRANT editor TO gmf; GRANT USAGE, CREATE ON SCHEMA main TO editor; {OWN}",
        "Not of the owner of 'main', so that only a superuser can copy it: table main.own of editor.",
    ),
    (
        f"GRANT editor TO gmf WITH SET FALSE; {OWN}; GRANT SELECT ON main.own TO gmf",
        "cannot be, by SET ROLE, the owners of what is in 'main': table main.own of editor.",
    ),
    (
        "CREATE DOMAIN main.d AS int; ALTER DOMAIN main.d OWNER TO editor",
        "of what is in 'main': type main.d of editor.",
    ),
    (
        "CREATE COLLATION main.c (provider = libc, locale = 'C'); ALTER COLLATION main.c OWNER TO editor",
        "of what is in 'main': collation main.c of editor.",
    ),
    (
        "GRANT USAGE ON SCHEMA main TO editor; GRANT SELECT ON main.layer TO editor WITH GRANT OPTION; "
        "SET ROLE editor; GRANT SELECT ON main.layer TO PUBLIC; RESET ROLE",
        "Granted on in 'main', so that only a superuser can copy it: layer by editor.",
    ),
    (
        "GRANT USAGE ON SCHEMA main TO editor WITH GRANT OPTION; SET ROLE editor; GRANT USAGE ON SCHEMA main TO PUBLIC",
        "Granted on in 'main', so that only a superuser can copy it: main by editor.",
    ),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE editor IN SCHEMA main GRANT SELECT ON TABLES TO PUBLIC",
        "may not set in 'main' the default privileges of other roles: editor.",
    ),
    ("ALTER TABLE main.layer SET TABLESPACE apart", "may not create in the tablespaces of 'main': layer in apart."),
    ("CREATE INDEX named ON main.layer (name) TABLESPACE apart", "the tablespaces of 'main': named in apart."),
    (
        "ALTER ROLE gmf IN DATABASE {name} SET default_transaction_read_only = on",
        "The sessions here are read-only: default_transaction_read_only is set for the role, database or server.",
    ),
    (
        "CREATE FUNCTION main.same(internal) RETURNS internal LANGUAGE internal AS 'boolin'; "
        "ALTER FUNCTION main.same OWNER TO gmf",
        "In 'main' is what only a superuser can create: same() in internal.",
    ),
    (
        "CREATE FUNCTION main.quiet() RETURNS int LANGUAGE sql LEAKPROOF AS 'SELECT 1'; "
        "ALTER FUNCTION main.quiet OWNER TO gmf",
        "In 'main' is what only a superuser can create: quiet() in sql.",
    ),
]


@pytest.fixture
def editor(database: Database) -> Iterator[None]:
    """Another role, and a tablespace which it has to itself."""
    database.execute("CREATE ROLE editor; SET allow_in_place_tablespaces = on; CREATE TABLESPACE apart LOCATION ''")
    yield
    database.execute("DROP SCHEMA main CASCADE; DROP OWNED BY editor; DROP ROLE editor")
    database.execute("DROP TABLESPACE apart")


@pytest.mark.usefixtures("editor")
@pytest.mark.parametrize(("sql", "message"), FORBIDDEN)
def test_what_a_role_may_not_copy_is_refused_by_name_in_a_dry_run_too(
    database: Database, sql: str, message: str
) -> None:
    if "WITH SET FALSE" in sql and int(database.execute("SHOW server_version_num")[0][0]) < SET_FALSE:
        sql = sql.replace("GRANT editor TO gmf WITH SET FALSE; ", "")
    database.execute(sql.format(name=database.name))
    assert message in database.refusal("main", "prod", "--dry-run")
    assert message in database.refusal("main", "prod")


@pytest.mark.parametrize("name", ["John.Doe", "GIS", 'a "b" c'])
def test_a_role_may_have_any_name(database: Database, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    database.execute(f"""
        CREATE ROLE {quoted} LOGIN PASSWORD 'of-any-name'; ALTER DATABASE {database.name} OWNER TO {quoted};
        ALTER SCHEMA main OWNER TO {quoted}; ALTER SCHEMA static OWNER TO {quoted};
        ALTER TABLE main.layer OWNER TO {quoted}; ALTER TABLE static.users OWNER TO {quoted};
        SET ROLE {quoted}; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
    """)
    try:
        database.clone("main", "prod", env=database.environment(USER=name, PASSWORD="of-any-name"))
        assert [line.replace("prod", "main") for line in database.dump("prod")] == database.dump("main")
    finally:
        database.execute(f"DROP OWNED BY {quoted}; ALTER DATABASE {database.name} OWNER TO gmf; DROP ROLE {quoted}")
