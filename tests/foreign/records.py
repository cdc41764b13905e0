"""The records every foreign client writes and expects to read: a pure function of their number.

Record i lies in partition i % PARTITIONS at offset i // PARTITIONS, so a reader needs nothing but these rules to check any record
it meets. Foreign.java has the same rules; each client reads what every other one wrote, so a slip in one of them shows.
"""

import struct
from typing import NamedTuple

PARTITIONS = 6
TIMESTAMP_BASE = 1_700_000_000_000
MASK = (1 << 64) - 1


class Record(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: list
    timestamp: int


def mix(i: int) -> int:
    """splitmix64: far-apart bits from neighbouring numbers."""
    z = (i + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def record(i: int, writer: str) -> Record:
    """The record, as far as its writer can write it: kafka-python refuses null header values."""
    h = mix(i)
    noise = struct.pack(">Q", h)
    # Null and empty are different things, for keys as for values.
    if i % 7 == 0:
        key = None
    elif i % 11 == 0:
        key = b""
    else:
        key = b"key-%d" % (h % 1000)
    if i % 13 == 0 and key is not None:  # kafka-python writes no record without both
        value = None
    elif i % 5000 == 1:
        value = noise * 12500  # larger than a batch
    else:
        value = (noise * 26)[: h % 201]
    # None, one with bytes that are no UTF-8, a repeated name and a null value, a name beyond ASCII.
    null = b"" if writer == "kafka-python" else None
    headers = [[], [("n", noise)], [("a", b"1"), ("a", b"2"), ("b", null)], [("\u00fc", b"")]][i % 4]
    return Record(key, value, headers, TIMESTAMP_BASE + i)


def place(i: int) -> tuple[int, int]:
    return i % PARTITIONS, i // PARTITIONS


def number(partition: int, offset: int) -> int:
    return offset * PARTITIONS + partition


def count_of(partition: int, count: int) -> int:
    """How many of the first `count` records lie in a partition."""
    return (count - partition + PARTITIONS - 1) // PARTITIONS


def blocks(count: int, codecs: list):
    """Splits the records into one block for each codec, in order: a partition then holds batches of every codec."""
    size = -(-count // len(codecs))
    for n, codec in enumerate(codecs):
        yield codec, range(n * size, min((n + 1) * size, count))
