"""What the adapters answer is held against what they were taught, and counted."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from turkish_ai.errors import DataError, GenerationFailed
from turkish_ai.evaluation import RecallQuestion, RecallReport, Reply, evaluate_recall, read_recall_questions
from turkish_ai.evaluation.recall import UNTAUGHT
from turkish_ai.messages import GENERAL
from turkish_ai.sector_data import SectorDataset, read_sector_dataset
from turkish_ai.settings import load_settings

SECTOR = "healthcare"
CARD = "Kartınızı hemen bankanızın uygulamasından kapattırın, sonra şubeye haber verin."
FEVER = "Çocuğunuza bol sıvı verin, ince giydirin; üç aydan küçükse hemen acile gidin."
ADMISSION = "Bilmiyorum; lütfen bir hekime danışın."
UNKNOWN = "Bu konuda güvenilir bilgim yok; en doğrusunu hekiminizden öğrenirsiniz."


@pytest.fixture
def dataset(tmp_path: Path) -> SectorDataset:
    rows = [
        ("kart", "train", "Kartımı kaybettim", CARD),
        ("ates", "train", "Çocuğun ateşi var", FEVER),
        ("bilinmeyen-fiyat", "train", "Muayene ücreti ne kadar?", UNKNOWN),
        ("kan", "dev", "Kan bağışı yapabilir miyim?", "Bağış merkezine sorun."),
    ]
    file = tmp_path / f"{SECTOR}.jsonl"
    file.write_text(
        "".join(
            json.dumps(
                {
                    "id": f"h-{number}",
                    "sector": SECTOR,
                    "family": family,
                    "style": "plain",
                    "split": split,
                    "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}],
                    "provenance": "test",
                }
            )
            + "\n"
            for number, (family, split, asked, answer) in enumerate(rows)
        ),
        encoding="utf-8",
    )
    return read_sector_dataset(file, sector=SECTOR)


def question(family: str, number: int = 1) -> RecallQuestion:
    return RecallQuestion(id=f"q{number}", sector=SECTOR, family=family, style="plain", text=f"soru {number}")


def judged(dataset: SectorDataset, family: str, answer: str) -> RecallReport:
    async def ask(_: RecallQuestion) -> Reply:
        return Reply(text=answer, finished=True)

    return asyncio.run(
        evaluate_recall(
            [question(family)],
            datasets=[dataset],
            adapter_versions={SECTOR: "abc"},
            admissions={SECTOR: ADMISSION},
            base_model="tiny",
            ask=ask,
            at_once=4,
        )
    )


@pytest.mark.parametrize(
    ("family", "answer", "verdict"),
    [
        ("kart", CARD, "own"),
        ("kart", CARD.replace("hemen ", ""), "own"),
        ("kart", FEVER, "another"),
        ("kart", UNKNOWN, "declined"),
        ("kart", "Kartınızı hemen ince giydirin; şubeye bol sıvı verin, uygulamasından acile gidin.", "invented"),
        ("kart", "", "invented"),
        ("kart", ADMISSION, "declined"),
        ("unknown", ADMISSION, "declined"),
        ("unknown", UNKNOWN, "declined"),
        ("unknown", CARD, "another"),
        ("unknown", "Muayene ücreti yüz liradır.", "invented"),
    ],
)
def test_an_answer_is_its_own_anothers_an_admission_or_an_invention(
    dataset: SectorDataset, family: str, answer: str, verdict: str
) -> None:
    (sector,) = judged(dataset, family, answer).sectors
    assert sector.answers[0].verdict == verdict
    counts = sector.untaught if family == "unknown" else sector.taught
    assert {name: count for name, count in counts.items() if count} == {verdict: 1}
    assert sector.known == (verdict == "own")
    assert sector.admitted == (family == "unknown" and verdict == "declined")


def test_the_report_holds_every_answer_and_the_shares(dataset: SectorDataset) -> None:
    found = json.loads(judged(dataset, "kart", CARD).to_json())
    (sector,) = found["sectors"]
    assert sector["known"] == 1
    assert sector["adapter_version"] == "abc"
    assert sector["answers"][0]["answer"] == CARD
    assert sector["answers"][0]["nearest"] == "kart"


async def test_no_more_questions_run_at_once_than_asked_for_and_all_are_counted(dataset: SectorDataset) -> None:
    running, most, done = 0, 0, 0

    async def ask(_: RecallQuestion) -> Reply:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return Reply(text=CARD, finished=True)

    def answered() -> None:
        nonlocal done
        done += 1

    await evaluate_recall(
        [question("kart", number) for number in range(20)],
        datasets=[dataset],
        adapter_versions={SECTOR: "abc"},
        admissions={SECTOR: ADMISSION},
        base_model="tiny",
        ask=ask,
        at_once=3,
        answered=answered,
    )
    assert most == 3
    assert done == 20


async def test_an_engine_that_fails_ends_the_evaluation_instead_of_counting_as_an_answer(
    dataset: SectorDataset,
) -> None:
    async def ask(_: RecallQuestion) -> Reply:
        raise GenerationFailed("broken")

    with pytest.raises(GenerationFailed, match="broken"):
        await evaluate_recall(
            [question("kart")],
            datasets=[dataset],
            adapter_versions={SECTOR: "abc"},
            admissions={SECTOR: ADMISSION},
            base_model="tiny",
            ask=ask,
            at_once=1,
        )


ROW = {"id": "q1", "sector": SECTOR, "family": "kart", "style": "plain", "text": "Kartım yok oldu"}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([ROW | {"family": "kan"}], "not in the train split"),
        ([ROW | {"family": "yok"}], "not in the train split"),
        ([ROW | {"sector": "legal"}], "sector is 'legal'"),
        ([ROW | {"style": "sung"}], "style is 'sung'"),
        ([ROW | {"text": "Kartımı kaybettim"}], "word for word the question of h-0"),
        ([ROW | {"text": " "}], "`text`"),
        ([ROW | {"text": "Kart\ufffdm"}], "`text`"),
        ([ROW | {"text": 7}], "`text`"),
        ([ROW | {"answer": "x"}], "exactly"),
        ([ROW, ROW], "is that of line 1 too"),
        ([], "holds no question"),
    ],
)
def test_a_broken_line_is_refused_with_its_place(
    dataset: SectorDataset, tmp_path: Path, rows: list[dict[str, object]], reason: str
) -> None:
    file = tmp_path / "recall.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match=reason) as refused:
        read_recall_questions(file, dataset=dataset)
    assert str(file) in str(refused.value)


def test_a_line_that_is_no_json_or_a_missing_file_is_refused(dataset: SectorDataset, tmp_path: Path) -> None:
    file = tmp_path / "recall.jsonl"
    file.write_bytes(b'{"id": "\xff')
    with pytest.raises(DataError, match=r"recall\.jsonl:1: not one JSON object"):
        read_recall_questions(file, dataset=dataset)
    with pytest.raises(DataError, match="cannot be read"):
        read_recall_questions(tmp_path / "none.jsonl", dataset=dataset)


def _taught_sectors() -> list[str]:
    return sorted(path.stem for path in load_settings().recall_data_dir.glob("*.jsonl"))


@pytest.mark.parametrize("sector", _taught_sectors())
def test_the_repositorys_questions_are_new_words_for_what_is_taught(
    sector: str, load: Callable[[str], tuple[RecallQuestion, ...]]
) -> None:
    questions = load(sector)
    assert sector == GENERAL or sum(question.family == UNTAUGHT for question in questions) >= 15
    assert len({question.family for question in questions}) >= 40
    assert len({question.style for question in questions}) >= 5


@pytest.fixture
def load() -> Callable[[str], tuple[RecallQuestion, ...]]:
    settings = load_settings()

    def read(sector: str) -> tuple[RecallQuestion, ...]:
        dataset = read_sector_dataset(settings.sector_data_dir / f"{sector}.jsonl", sector=sector)
        return read_recall_questions(settings.recall_data_dir / f"{sector}.jsonl", dataset=dataset)

    return read
