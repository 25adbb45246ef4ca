"""The header of a GGUF file, against the gguf package that wrote it."""

import struct
from pathlib import Path

import gguf
import pytest

from turkish_ai.base_model.gguf_file import read_gguf_header
from turkish_ai.errors import BaseModelUnavailable


def test_metadata_and_tensors_are_those_that_the_gguf_package_reads(tiny_gguf: Path) -> None:
    reader = gguf.GGUFReader(tiny_gguf)
    header = read_gguf_header(tiny_gguf)

    written = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    assert dict(header.metadata) == written
    assert [(t.name, t.shape, t.ggml_type, t.offset_bytes) for t in header.tensors] == [
        (t.name, tuple(int(n) for n in reversed(t.shape)), int(t.tensor_type), t.data_offset) for t in reader.tensors
    ]


def test_every_kind_of_value_is_read(tmp_path: Path) -> None:
    path = tmp_path / "values.gguf"
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_custom_alignment(64)
    writer.add_bool("a.bool", True)
    writer.add_int8("a.int8", -5)
    writer.add_uint64("a.uint64", 2**63)
    writer.add_float64("a.float64", 0.1)
    writer.add_string("a.string", "çığ")
    writer.add_array("a.integers", [1, 2, 3])
    writer.add_array("a.strings", ["ş", ""])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    metadata = read_gguf_header(path).metadata
    assert {key: value for key, value in metadata.items() if key.startswith("a.")} == {
        "a.bool": True,
        "a.int8": -5,
        "a.uint64": 2**63,
        "a.float64": 0.1,
        "a.string": "çığ",
        "a.integers": [1, 2, 3],
        "a.strings": ["ş", ""],
    }
    assert metadata["general.alignment"] == 64


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot mmap an empty file"),
        (b"<html></html>", "it starts with b'<htm'"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "its version is 1"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 40), "inside its header"),
    ],
)
def test_a_file_that_is_no_gguf_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(BaseModelUnavailable, match=message):
        read_gguf_header(path)


def test_a_header_cut_anywhere_is_refused(tiny_gguf: Path, tmp_path: Path) -> None:
    start = min(tensor.offset_bytes for tensor in read_gguf_header(tiny_gguf).tensors)
    path = tmp_path / "cut.gguf"
    for length in range(4, start - 64, 501):
        path.write_bytes(tiny_gguf.read_bytes()[:length])
        with pytest.raises(BaseModelUnavailable):
            read_gguf_header(path)
