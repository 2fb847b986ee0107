"""How do the data of a primary and of its replicas come into being?"""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from django_gmf_router.postgres.names import quote
from django_gmf_router.testing.home import REPLICATION_USER, SUPERUSER
from django_gmf_router.testing.machine import HOST
from django_gmf_router.testing.server import Server, each

TIMEOUT_SECONDS = 60.0

# No sync to disk: the data is thrown away. Full page writes stay: a killed server recovers from its log.
# Two base backups at once each take a checkpoint, which may remove the segment that the other one is about to
# read: hence wal_keep_size. Replicas come back to a restarted primary after 0.1 s instead of 5 s.
CONFIGURATION = f"""
listen_addresses = '{HOST}'
unix_socket_directories = ''
wal_level = replica
hot_standby = on
hot_standby_feedback = off
fsync = off
max_connections = 200
max_wal_senders = 20
max_replication_slots = 20
wal_keep_size = '128MB'
wal_init_zero = off
shared_buffers = '16MB'
dynamic_shared_memory_type = mmap
wal_retrieve_retry_interval = '100ms'
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
"""
# Three I/O workers a server are nine processes more on a small machine.
CONFIGURATION_18 = "io_method = sync\n"


def init_primary(primary: Server, major: int) -> None:
    """Create the primary's data directory."""
    home = primary.home
    password_file = home.path / "superuser"
    home.account.write_private(password_file, home.passwords()[SUPERUSER])
    # Sorting by bytes, but upper() and friends know every letter.
    builtin = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8") if major >= 17 else ()  # noqa: PLR2004
    identity = ("-U", SUPERUSER, f"--pwfile={password_file}", "--auth=scram-sha-256")
    language = ("-E", "UTF8", "--locale=C", *builtin)
    options = (*identity, *language, "--no-sync", "--no-instructions")
    home.run("initdb", "-D", str(primary.data), *options, timeout_seconds=TIMEOUT_SECONDS)
    password_file.unlink()
    with (primary.data / "postgresql.conf").open("a") as file:
        file.write(CONFIGURATION + (CONFIGURATION_18 if major >= 18 else ""))  # noqa: PLR2004


def create_roles(primary: Server, database: str, user: str) -> None:
    """Create the roles of replication and of the site; the latter may create databases, as tests do."""
    passwords = primary.home.passwords()
    primary.query(
        f"CREATE ROLE {REPLICATION_USER} REPLICATION LOGIN PASSWORD '{passwords[REPLICATION_USER]}';"
        f"CREATE ROLE {quote(user)} LOGIN CREATEDB PASSWORD '{passwords[user]}';"
    )
    # On its own: CREATE DATABASE runs in no transaction.
    primary.query(f"CREATE DATABASE {quote(database)} OWNER {quote(user)};")


def copy_to_all(primary: Server, replicas: Sequence[Server]) -> None:
    """Make the data directories of new replicas at the same time."""
    slots = [f"SELECT pg_create_physical_replication_slot('{replica.name}', true);" for replica in replicas]
    primary.query("".join(slots))
    each(lambda replica: copy_primary(primary, replica), replicas)


def copy_primary(primary: Server, replica: Server) -> None:
    """Make a replica's data directory from a base backup, and let it follow the primary through its slot.

    Without the write-ahead log, which the slot keeps for it: padded segments are most of what there is to write.
    """
    if replica.data.exists():
        shutil.rmtree(replica.data)
    source = ("-h", HOST, "-p", str(primary.port), "-U", REPLICATION_USER, "-w")
    speed = ("--checkpoint=fast", "--no-sync", "--no-manifest")
    target = ("-D", str(replica.data), "-R", "-X", "none")
    primary.home.run("pg_basebackup", *source, *target, *speed, timeout_seconds=TIMEOUT_SECONDS)
    with (replica.data / "postgresql.auto.conf").open("a") as file:
        file.write(f"primary_slot_name = '{replica.name}'\n")
