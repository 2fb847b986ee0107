"""What number is a place in the write-ahead log, and which place is at rest? Positions are plain, comparable ints."""

from __future__ import annotations

LARGEST = 2**64 - 1
# PostgreSQL's defaults when it is built; wal_block_size shows the first. A segment is 1 MiB at least (initdb,
# --wal-segsize), and a power of two: so where one starts is a multiple of that.
BLOCK_BYTES = 8192
LEAST_SEGMENT_BYTES = 2**20
BLOCK_HEADER_BYTES = 24  # XLogPageHeaderData
SEGMENT_HEADER_BYTES = 40  # XLogLongPageHeaderData, on a segment's first block only


def number_of(expression: str) -> str:
    """Return the SQL that makes a number of an expression of the type pg_lsn: the bytes since the log began.

    Of two positions on one timeline the larger is the later.
    """
    return f"({expression} - '0/0'::pg_lsn)::int8"


def format_position(position: int) -> str:
    """Return the text of a position, as PostgreSQL prints it; raises ValueError for what is none: beyond 64 bits."""
    if not 0 <= position <= LARGEST:
        raise ValueError(f"{position} is no position in the write-ahead log: it is negative or beyond 64 bits.")
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def at_rest(position: int) -> int:
    """Return a primary's insert position less the page header it points past; replicas report the place before it.

    After a record that fills its page, pg_current_wal_insert_lsn() is where the next one will begin, but a replica that
    replayed everything is at the end of the last. Nothing is lost: a record that ends just there, after a header, began
    before the page, for it has 24 bytes at least; so no replica is between the two places without having replayed it.
    """
    if position % BLOCK_BYTES == BLOCK_HEADER_BYTES:
        return position - BLOCK_HEADER_BYTES
    if position % LEAST_SEGMENT_BYTES == SEGMENT_HEADER_BYTES:
        return position - SEGMENT_HEADER_BYTES
    return position
