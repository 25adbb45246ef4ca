"""The sectors' files: what is refused, and that the refusal names the place."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.training.conftest import SECTOR, row, write_sector
from turkish_ai.errors import DataError
from turkish_ai.sector_data import read_sector_dataset

QUESTION = {"role": "user", "content": "Soru?"}
ANSWER = {"role": "assistant", "content": "Yanıt."}


def write(folder: Path, *lines: dict[str, Any] | str) -> Path:
    file = folder / f"{SECTOR}.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    file.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return file


def test_a_good_file_is_read_split_by_split(tmp_path: Path) -> None:
    dataset = read_sector_dataset(write_sector(tmp_path / "good.jsonl"), sector=SECTOR)
    assert [len(dataset.split(name)) for name in ("train", "dev", "test")] == [12, 6, 3]
    assert dataset.split("dev")[0].messages[0].content == "Kefil olursam ne olur?"


def test_another_byte_in_the_file_is_another_sha256(tmp_path: Path) -> None:
    file = write_sector(tmp_path / "good.jsonl")
    before = read_sector_dataset(file, sector=SECTOR).sha256
    file.write_text(file.read_text(encoding="utf-8").replace("Faiz nedir?", "Faiz ne?"), encoding="utf-8")
    assert read_sector_dataset(file, sector=SECTOR).sha256 != before


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param('{"id": "x", ', "not one JSON object", id="broken JSON"),
        pytest.param("[1, 2]", "found list", id="not an object"),
        pytest.param(row(id="b", sector="banking"), "unknown sector 'banking'", id="unknown sector"),
        pytest.param(row(id="b", sector="legal"), "sector is 'legal' in the file of", id="another file's sector"),
        pytest.param(row(), "is that of line 1 too", id="duplicate id"),
        pytest.param(row(id="b", family="bozuk\ufffd"), "U+FFFD", id="wrongly decoded family"),
        pytest.param(
            row(id="b", messages=[QUESTION, {"role": "assistant", "content": "B\ufffdn"}]), "U+FFFD", id="U+FFFD"
        ),
        pytest.param(
            row(id="b", messages=[QUESTION, {"role": "assistant", "content": " \n"}]), "is empty", id="empty answer"
        ),
        pytest.param(row(id="b", split="dev"), "family 'kart' is in 'dev' here and in 'train' on line 1", id="leak"),
        pytest.param(row(id="b", messages=[ANSWER, QUESTION]), "the roles are assistant, user", id="roles reversed"),
        pytest.param(row(id="b", messages=[QUESTION]), "the roles are user", id="no answer"),
        pytest.param(row(id="b", messages=[]), "the roles are none", id="no messages"),
        pytest.param(row(id="b", messages=[QUESTION, QUESTION, ANSWER]), "the roles are", id="two questions"),
        pytest.param(row(id="b", messages="Soru?"), "list of objects", id="messages are text"),
        pytest.param(row(id="b", messages=[QUESTION, {"role": "assistant"}]), "no `content`", id="no content"),
        pytest.param(row(id="b", style="slang"), "style is 'slang'", id="unknown style"),
        pytest.param(row(id="b", style=["plain"]), "style is ['plain']", id="style is a list"),
        pytest.param(row(id="b", split="eval"), "split is 'eval'", id="unknown split"),
        pytest.param(row(id=7), "`id` has to be a text", id="id is a number"),
        pytest.param(row(id="b", provenance=None), "no `provenance`", id="missing key"),
        pytest.param(row(id="b", note="x"), "unknown key `note`", id="unknown key"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused_with_file_line_and_reason(
    tmp_path: Path, line: dict[str, Any] | str, reason: str
) -> None:
    file = write(tmp_path, row(), "", line)
    with pytest.raises(DataError) as refused:
        read_sector_dataset(file, sector=SECTOR)
    assert f"{file}:3: " in refused.value.message
    assert reason in refused.value.message


def test_broken_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / f"{SECTOR}.jsonl"
    file.write_bytes(json.dumps(row()).encode() + b"\n\xff\xfe\n")
    with pytest.raises(DataError, match=":2: not one JSON object in UTF-8"):
        read_sector_dataset(file, sector=SECTOR)


def test_a_system_message_may_open_a_conversation(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Kısa yanıt ver."}
    file = write(
        tmp_path, row(messages=[system, QUESTION, ANSWER, QUESTION, ANSWER]), row(id="b", family="c", split="dev")
    )
    assert len(read_sector_dataset(file, sector=SECTOR).examples[0].messages) == 5


def test_a_file_without_dev_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no example has split 'dev'"):
        read_sector_dataset(write(tmp_path, row()), sector=SECTOR)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"legal\.jsonl: cannot be read"):
        read_sector_dataset(tmp_path / "legal.jsonl", sector="legal")
