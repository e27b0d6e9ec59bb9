import struct

import pytest
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from cnnlab.errors import UserError
from cnnlab.tracking.wandb_log import fields, read_log, signed, zigzag
from tests.tracking.wandb_files import HEADER, chunk, write_log


def test_records_of_every_length_come_back(tmp_path):
    sizes = [0, 1, 32768 - 7 - 7 - 7 - 1 - 7 - 3, 5, 40_000, 100_000, 32761, 32754, 7]
    records = [bytes([i]) * size for i, size in enumerate(sizes)]
    log = read_log(write_log(tmp_path / "run-a.wandb", *records))
    assert log.records == records
    assert log.damaged == 0


@pytest.mark.parametrize("kept", [0, 3, 6])
def test_no_header(tmp_path, kept):
    (tmp_path / "run-a.wandb").write_bytes(HEADER[:kept])
    with pytest.raises(UserError, match=r"run-a\.wandb: not a file of W&B"):
        read_log(tmp_path / "run-a.wandb")


def test_another_version_is_not_guessed_at(tmp_path):
    (tmp_path / "run-a.wandb").write_bytes(HEADER[:6] + b"\x01" + chunk(1, b"abc"))
    with pytest.raises(UserError, match="version 1 of W&B's format; known is 0"):
        read_log(tmp_path / "run-a.wandb")


def test_a_file_torn_anywhere_gives_the_records_before(tmp_path):
    records = [b"a" * 20, b"b" * 70_000, b"c" * 20]
    file = write_log(tmp_path / "run-a.wandb", *records)
    whole = file.read_bytes()
    for kept in [7, 8, 30, 34, 50, 32768, 32770, 70_000, len(whole) - 1, len(whole)]:
        file.write_bytes(whole[:kept])
        log = read_log(file)
        assert log.damaged == 0
        assert log.records == records[: len(log.records)]
    assert log.records == records
    file.write_bytes(whole + bytes(5000))  # reserved, never written
    assert read_log(file) == (records, 0)


def test_damage_costs_the_rest_of_its_block_and_is_counted(tmp_path):
    records = [bytes([i]) * 1000 for i in range(100)]
    file = write_log(tmp_path / "run-a.wandb", *records)
    data = bytearray(file.read_bytes())
    data[7 + 7 + 500] ^= 1
    file.write_bytes(data)
    log = read_log(file)
    assert log.damaged == 1
    assert 0 < len(log.records) < 100
    assert log.records == records[-len(log.records) :]


def test_fields_are_those_of_protobuf():
    """Against Google's own encoder, on messages that come with it."""
    when = Timestamp(seconds=-5, nanos=7)
    found = dict(fields(when.SerializeToString()))
    assert (signed(found[1]), found[2]) == (-5, 7)
    tree = Struct()
    tree["a"] = 0.5
    ((number, entry),) = fields(tree.SerializeToString())
    key, value = fields(entry)
    assert (number, key) == (1, (1, b"a"))
    assert fields(value[1]) == [(2, struct.pack("<d", 0.5))]
    assert [zigzag(n) for n in (0, 1, 2, 3, 2**64 - 1)] == [0, -1, 1, -2, -(2**63)]


@pytest.mark.parametrize(
    "message", [b"\x0a", b"\x0a\x05ab", b"\x80", b"\x0b", b"\x08" + b"\xff" * 11]
)
def test_what_is_no_message_is_an_error(message):
    with pytest.raises(ValueError, match=r"cut off|wire type|varint"):
        fields(message)
