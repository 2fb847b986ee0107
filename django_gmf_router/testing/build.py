"""How do a primary and its replicas come into being?"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from django_gmf_router.testing.accounts import write_private
from django_gmf_router.testing.errors import LocalClusterError
from django_gmf_router.testing.node import Node
from django_gmf_router.testing.ports import HOST
from django_gmf_router.testing.programs import PASSWORD_FILE, SUPERUSER, Programs

REPLICATION_USER = "gmf_replication"
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


def write_passwords(programs: Programs, user: str) -> None:
    """Make up the passwords of all roles; the file has libpq's format (manual: "The Password File")."""
    names = (SUPERUSER, REPLICATION_USER, user)
    lines = [f"{HOST}:*:*:{name}:{secrets.token_hex(16)}\n" for name in names]
    write_private(programs.home / PASSWORD_FILE, "".join(lines), programs.account)


def init_primary(node: Node, version: int) -> None:
    """Create the primary's data directory."""
    programs = node.programs
    password_file = programs.home / "superuser"
    write_private(password_file, programs.passwords()[SUPERUSER], programs.account)
    # Sorting by bytes, but upper() and friends know every letter.
    builtin = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8") if version >= 17 else ()  # noqa: PLR2004
    identity = ("-U", SUPERUSER, f"--pwfile={password_file}", "--auth=scram-sha-256")
    language = ("-E", "UTF8", "--locale=C", *builtin)
    options = (*identity, *language, "--no-sync", "--no-instructions")
    programs.run("initdb", "-D", str(node.data), *options, timeout_seconds=TIMEOUT_SECONDS)
    password_file.unlink()
    with (node.data / "postgresql.conf").open("a") as file:
        file.write(CONFIGURATION + (CONFIGURATION_18 if version >= 18 else ""))  # noqa: PLR2004


def create_roles(node: Node, database: str, user: str) -> None:
    """Create the roles of replication and of the site; the latter may create databases, as tests do."""
    passwords = node.programs.passwords()
    node.query(
        f"CREATE ROLE {REPLICATION_USER} REPLICATION LOGIN PASSWORD '{passwords[REPLICATION_USER]}';"
        f"CREATE ROLE {quoted(user)} LOGIN CREATEDB PASSWORD '{passwords[user]}';"
    )
    # On its own: CREATE DATABASE runs in no transaction.
    node.query(f"CREATE DATABASE {quoted(database)} OWNER {quoted(user)};")


def copy_primary(primary: Node, replica: Node) -> None:
    """Make a replica's data directory from a base backup, and let it follow the primary through its slot.

    Without the write-ahead log, which the slot keeps for it: padded segments are most of what there is to write.
    """
    if replica.data.exists():
        shutil.rmtree(replica.data)
    source = ("-h", HOST, "-p", str(primary.port), "-U", REPLICATION_USER, "-w")
    speed = ("--checkpoint=fast", "--no-sync", "--no-manifest")
    target = ("-D", str(replica.data), "-R", "-X", "none")
    primary.programs.run("pg_basebackup", *source, *target, *speed, timeout_seconds=TIMEOUT_SECONDS)
    with (replica.data / "postgresql.auto.conf").open("a") as file:
        file.write(f"primary_slot_name = '{replica.name}'\n")


def copy_to_all(primary: Node, replicas: Sequence[Node]) -> None:
    """Make the data directories of new replicas at the same time."""
    slots = [f"SELECT pg_create_physical_replication_slot('{replica.name}', true);" for replica in replicas]
    primary.query("".join(slots))
    with ThreadPoolExecutor(max_workers=max(1, len(replicas))) as pool:
        jobs = [pool.submit(copy_primary, primary, replica) for replica in replicas]
    for job in jobs:
        job.result()


def check_names(database: str, user: str) -> None:
    """Raise LocalClusterError for names that the cluster uses itself or cannot write to its files."""
    for name in (database, user):
        if not name.isidentifier() or name.startswith("pg_"):
            raise LocalClusterError(f"{name!r} is no name for a database or role: use letters, digits and _")
        if name in {SUPERUSER, REPLICATION_USER, "template0", "template1"}:
            raise LocalClusterError(f"{name!r} is used by the cluster itself: choose another name")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
