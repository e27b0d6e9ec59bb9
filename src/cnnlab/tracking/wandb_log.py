"""W&B's file of a run, `run-ID.wandb`: LevelDB's log format around protobuf messages.

Nothing of `wandb` is imported: its own reader is gone since 0.31, and its message classes are
private. A schema of protobuf never gives a field number to something else, so what is read here by
number stays readable, and fields that a newer version adds are passed over.

Sources: LevelDB's doc/log_format.md; protobuf.dev/programming-guides/encoding.
"""

import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from cnnlab.errors import UserError

_MAGIC, _VERSION = b":W&B\xe1\xbe", 0  # then one byte, the version
_BLOCK = 32768
_HEAD = struct.Struct("<IHB")  # CRC-32 of kind and data, length of the data, kind
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


class Log(NamedTuple):
    """What a file holds."""

    records: list[bytes]
    """Whole records, in the order they were written."""
    damaged: int
    """Places where bytes were passed over; a last record torn by a kill is none."""


def read_log(path: Path) -> Log:
    """All records that are whole.

    Raises:
        UserError: not W&B's file, or in another version of its format.
    """
    data = path.read_bytes()
    if len(data) < 7 or not data.startswith(_MAGIC):
        raise UserError(f"{path}: not a file of W&B, or cut off in its first bytes")
    if data[6] != _VERSION:
        raise UserError(f"{path}: version {data[6]} of W&B's format; known is {_VERSION}")
    records: list[bytes] = []
    damaged, at = 0, 7
    parts: list[bytes] | None = None  # of a record that spans blocks
    while at + _HEAD.size <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEAD.size:  # too little for a head: zeros
            at += left
            continue
        checksum, length, kind = _HEAD.unpack_from(data, at)
        body = at + _HEAD.size
        if checksum == length == kind == 0:  # space that was reserved and not written
            at += left
            continue
        if length <= left - _HEAD.size and body + length > len(data):
            break  # torn
        if length > left - _HEAD.size or zlib.crc32(data[at + 6 : body + length]) != checksum:
            damaged, parts = damaged + 1, None
            at += left  # the length is not to be trusted: go on with the next block
            continue
        at = body + length
        if kind in (_FULL, _FIRST):
            parts = []
        if parts is None:
            continue  # the rest of a record whose beginning was damaged
        parts.append(data[body:at])
        if kind in (_FULL, _LAST):
            records.append(b"".join(parts))
            parts = None
    return Log(records, damaged)


def fields(message: bytes) -> list[tuple[int, Any]]:
    """The fields of a protobuf message: number, and an int (varints) or bytes (all else).

    Raises:
        ValueError: not a message.
    """
    found: list[tuple[int, Any]] = []
    at, end = 0, len(message)
    try:
        while at < end:
            tag = message[at]  # most are one byte: this loop is where reading takes its time
            at += 1
            if tag >= 0x80:
                tag, at = _varint(message, at - 1)
            kind = tag & 7
            if kind == 0:
                value, at = _varint(message, at)
                found.append((tag >> 3, value))
                continue
            if kind == 2:
                size = message[at]
                at += 1
                if size >= 0x80:
                    size, at = _varint(message, at - 1)
            elif kind in (1, 5):
                size = 8 if kind == 1 else 4
            else:
                raise ValueError(f"wire type {kind}")
            if at + size > end:
                raise ValueError("cut off")
            found.append((tag >> 3, message[at : at + size]))
            at += size
    except IndexError:
        raise ValueError("cut off") from None
    return found


def signed(value: int) -> int:
    """What an int32 or int64 stands for: negative ones are written as 64 bits."""
    return value - (1 << 64) if value >> 63 else value


def zigzag(value: int) -> int:
    """What a sint64 stands for."""
    return (value >> 1) ^ -(value & 1)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value, shift = byte & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("varint of more than 64 bits")
