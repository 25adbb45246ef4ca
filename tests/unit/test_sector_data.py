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
        pytest.param(row(), "is that of line 1 of", id="duplicate id"),
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
    other = [{"role": "user", "content": "Başka bir soru?"}, ANSWER]
    file = write(
        tmp_path,
        row(messages=[system, QUESTION, ANSWER, QUESTION, ANSWER]),
        row(id="b", family="c", split="dev", messages=other),
    )
    assert len(read_sector_dataset(file, sector=SECTOR).examples[0].messages) == 5


def test_a_file_without_dev_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no example has split 'dev'"):
        read_sector_dataset(write(tmp_path, row()), sector=SECTOR)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"legal\.jsonl: cannot be read"):
        read_sector_dataset(tmp_path / "legal.jsonl", sector="legal")


def test_a_question_that_crosses_the_splits_in_other_words_stops_the_reading(tmp_path: Path) -> None:
    learnt = row(id="a", messages=[{"role": "user", "content": "Kredi kartı borcumu nasıl öderim?"}, ANSWER])
    asked = row(
        id="b",
        split="dev",
        family="borc",
        messages=[{"role": "user", "content": "KREDI KARTI BORCUMU NASIL ÖDERİM"}, ANSWER],
    )
    with pytest.raises(DataError, match=rf"{SECTOR}\.jsonl:2: .*\(dev\) is nearly .* on line 1 of .* \(train\)"):
        read_sector_dataset(write(tmp_path, learnt, asked), sector=SECTOR)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        ("10000000146", "TCKN"),
        ("TR33 0006 1005 1978 6457 8413 26", "IBAN"),
        ("4111 1111 1111 1111", "card number"),
    ],
)
def test_a_number_with_right_check_digits_stops_the_reading(tmp_path: Path, number: str, name: str) -> None:
    leaking = row(id="b", messages=[{"role": "user", "content": f"Numaram {number}, ne yapmalıyım?"}, ANSWER])
    with pytest.raises(DataError, match=rf":2: `content` holds '{number}', a valid .*{name}"):
        read_sector_dataset(write(tmp_path, row(id="a"), leaking), sector=SECTOR)


def phrasing(**changes: Any) -> dict[str, Any]:
    return {
        "id": "p-1",
        "sector": SECTOR,
        "answer_of": f"{SECTOR}-0001",
        "style": "colloquial",
        "text": "kartım gitti ya",
    } | changes


def write_phrasings(folder: Path, *rows: dict[str, Any]) -> Path:
    """A sector of two rows with these further phrasings; the sector's file."""
    dev = [{"role": "user", "content": "Kiralık kasa nedir?"}, ANSWER]
    file = write(folder, row(), row(id="b", family="kasa", split="dev", messages=dev))
    (folder / "phrasings").mkdir()
    (folder / "phrasings" / file.name).write_text(
        "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in rows), encoding="utf-8"
    )
    return file


def test_further_phrasings_are_read_with_the_example_whose_answer_they_get(tmp_path: Path) -> None:
    dataset = read_sector_dataset(write_phrasings(tmp_path, phrasing()), sector=SECTOR)
    (found,) = dataset.phrasings
    assert (found.answer_of, found.style, found.text) == (f"{SECTOR}-0001", "colloquial", "kartım gitti ya")
    assert dataset.phrasings_sha256
    assert len(dataset.examples) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"answer_of": "b"}, "answer_of is 'b', which is no train example"),
        ({"answer_of": "nobody"}, "answer_of is 'nobody'"),
        ({"id": "b"}, "id 'b' is that of line 2"),
        ({"sector": "legal"}, "sector is 'legal'"),
        ({"text": " "}, "`text` is empty"),
        ({"text": "kiralik kasa nedir"}, "is nearly 'Kiralık kasa nedir\\?' on line 2"),
        ({"more": 1}, "unknown key `more`"),
    ],
)
def test_a_phrasing_that_cannot_be_used_stops_the_reading(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    file = write_phrasings(tmp_path, phrasing(**changes))
    with pytest.raises(DataError, match=rf"phrasings/{file.name}:1: .*{reason}"):
        read_sector_dataset(file, sector=SECTOR)
