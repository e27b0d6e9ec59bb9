"""Writes W&B's files by the words of the format's description, for tests."""

import struct
import zlib
from pathlib import Path

HEADER = b":W&B\xe1\xbe\x00"


def chunk(kind: int, data: bytes) -> bytes:
    return struct.pack("<IHB", zlib.crc32(bytes([kind]) + data), len(data), kind) + data


def write_log(path: Path, *records: bytes) -> Path:
    """The format as LevelDB's doc/log_format.md tells it."""
    out = bytearray(HEADER)
    for record in records:
        first = True
        while True:
            left = 32768 - len(out) % 32768
            if left < 7:
                out += bytes(left)
                continue
            piece, record = record[: left - 7], record[left - 7 :]
            kind = {(1, 1): 1, (1, 0): 2, (0, 0): 3, (0, 1): 4}[first, not record]
            out += chunk(kind, piece)
            first = False
            if not record:
                break
    path.write_bytes(out)
    return path
