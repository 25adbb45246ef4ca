import json
import re

import pytest

from tests.unit.routing.conftest import TinyRepository, bare
from turkish_ai.errors import DataError
from turkish_ai.routing.examples import TERMS_FILE, RoutingData, read_examples


def read(repository: TinyRepository) -> RoutingData:
    return read_examples(routing_dir=repository.routing, sector_dir=repository.sectors, sectors=repository.described())


def row(**changes: object) -> str:
    fields: dict[str, object] = {"id": "new", "sector": "legal", "style": "plain", "text": "icra takibi ne demek"}
    return json.dumps(fields | changes, ensure_ascii=False)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": "new", "sector": ', "not one JSON object"),
        ("[1, 2]", "a JSON object is needed, found list"),
        ('{"id": "a", "id": "b"}', "a key stands twice"),
        (row(sector="law"), "unknown sector 'law'"),
        (row(sector="energy"), "sector is 'energy' in the file of 'legal'"),
        (row(text=None), "`text` has to be a text, found None"),
        (row(text="  "), "`text` is empty"),
        (row(text="m\ufffdhr nedir"), "`text` holds U+FFFD"),
        (row(id="r-legal-0"), "id 'r-legal-0' is that of"),
        (row(text="MERHABA!"), "is of legal here and of general in"),
    ],
)
def test_a_line_that_cannot_be_used_stops_with_file_line_and_reason(
    repository: TinyRepository, line: str, reason: str
) -> None:
    file = repository.routing / "legal.jsonl"
    number = len(file.read_text(encoding="utf-8").splitlines()) + 1
    repository.append(file, line)
    with pytest.raises(DataError, match=rf"legal\.jsonl:{number}: .*{re.escape(reason)}"):
        read(repository)


def test_the_same_question_in_ascii_and_in_another_sector_is_refused(repository: TinyRepository) -> None:
    repository.append(repository.routing / "energy.jsonl", row(id="e", sector="energy", text="ÇÖP kutusu nerede?"))
    repository.append(repository.routing / "legal.jsonl", row(text="cop kutusu nerede"))
    with pytest.raises(DataError, match=r"is of legal here and of energy in .*energy\.jsonl"):
        read(repository)


def test_bytes_that_are_not_utf8_are_refused(repository: TinyRepository) -> None:
    file = repository.routing / "legal.jsonl"
    file.write_bytes(file.read_bytes() + row().encode("iso-8859-9") + b"\n" + b'{"id": "\xfd"}\n')
    with pytest.raises(DataError, match=r"legal\.jsonl:\d+: not one JSON object in UTF-8"):
        read(repository)


def test_a_split_that_does_not_exist_is_refused(repository: TinyRepository) -> None:
    file = repository.sectors / "finance_banking.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace('"dev"', '"devel"'), encoding="utf-8")
    with pytest.raises(DataError, match=r"finance_banking\.jsonl:4: split is 'devel'; allowed are train, dev, test"):
        read(repository)


def test_a_sector_without_questions_is_refused(repository: TinyRepository) -> None:
    (repository.routing / "tourism_hospitality.jsonl").unlink()
    with pytest.raises(DataError, match=r"no question to train with for tourism_hospitality"):
        read(repository)


def test_a_folder_that_is_not_there_is_refused(repository: TinyRepository) -> None:
    repository.routing.rename(repository.root / "elsewhere")
    with pytest.raises(DataError, match=r"the router's questions are not there"):
        read(repository)


def test_a_line_separator_inside_a_text_does_not_end_the_line(repository: TinyRepository) -> None:
    repository.append(repository.routing / "legal.jsonl", row(text="icra\u2028takibi"))
    assert "icra\u2028takibi" in [example.text for example in read(repository).examples]


def test_only_the_first_turn_of_a_conversation_is_the_question(repository: TinyRepository) -> None:
    example = next(e for e in read(repository).examples if e.id == "kart-kayip-1")
    assert example.text == "Kredi kartımı kaybettim, ne yapmalıyım?"
    assert example.follow_ups == ("peki ne kadar sürer?",)


def test_a_question_of_emoji_alone_is_accepted_and_not_learnt(repository: TinyRepository) -> None:
    data = read(repository)
    assert "😀" in [example.text for example in data.examples]
    assert "😀" not in [example.text for example in data.questions("train")]


def test_the_words_that_describe_a_sector_are_its_terms(repository: TinyRepository) -> None:
    terms = {(term.sector, term.text) for term in read(repository).terms}
    assert {("insurance", "kasko"), ("finance_banking", "Bankacılık"), ("legal", "Hukuk")} <= terms


def test_a_file_of_terms_is_read(repository: TinyRepository) -> None:
    content = json.dumps({"legal": ["icra", "vekâletname"]}, ensure_ascii=False)
    (repository.routing / TERMS_FILE).write_text(content, encoding="utf-8")
    assert ("legal", "vekâletname") in {(term.sector, term.text) for term in read(repository).terms}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "a JSON object is needed"),
        ('{"law": ["icra"]}', "unknown sector 'law'"),
        ('{"legal": "icra"}', "`legal` has to be a list of terms"),
        ('{"legal": [""]}', "a term of legal is empty"),
        ('{"legal": [7]}', "a term of legal has to be a text"),
        ('{"legal": ["icra"], "legal": []}', "a key stands twice"),
    ],
)
def test_terms_that_cannot_be_used_are_refused(repository: TinyRepository, content: str, reason: str) -> None:
    (repository.routing / TERMS_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"terms\.json: .*{re.escape(reason)}"):
        read(repository)


def test_any_change_of_the_data_changes_their_hash(repository: TinyRepository) -> None:
    before = read(repository).sha256
    repository.write(repository.routing / "extra" / "legal.jsonl", bare("legal", ["unread"]))
    assert read(repository).sha256 == before
    repository.append(repository.routing / "legal.jsonl", row())
    assert read(repository).sha256 != before


def test_a_bare_question_is_for_training_unless_its_line_says_otherwise(repository: TinyRepository) -> None:
    kept, held = bare("legal", ["dava dilekçesi nasıl yazılır", "avukat tutmak zorunda mıyım"])
    repository.write(repository.routing / "legal.jsonl", [kept, held | {"split": "test"}])
    data = read(repository)
    assert [example.text for example in data.questions("test") if example.sector == "legal"] == [held["text"]]
    assert kept["text"] in [example.text for example in data.questions("train")]


def test_further_phrasings_are_learnt_as_questions_of_the_family_they_ask_for(repository: TinyRepository) -> None:
    sector, example = next(
        (example.sector, example)
        for example in read(repository).examples
        if example.split == "train" and example.family != example.id
    )
    row = {
        "id": "p-1",
        "sector": sector,
        "answer_of": example.id,
        "style": "plain",
        "text": "başka sözcüklerle sorulan",
    }
    (repository.sectors / "phrasings").mkdir()
    repository.write(repository.sectors / "phrasings" / f"{sector}.jsonl", [row])
    (found,) = [question for question in read(repository).questions("train") if question.id == "p-1"]
    assert (found.sector, found.family) == (sector, example.family)
    repository.write(repository.sectors / "phrasings" / f"{sector}.jsonl", [row | {"answer_of": "nobody"}])
    with pytest.raises(DataError, match=r"phrasings/.*:1: answer_of is 'nobody'"):
        read(repository)
