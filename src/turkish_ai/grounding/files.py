"""A sector's question bank as a file in the cache: fitted once, read at every start.

Called by `app`, the command line and `training`. The file is named by all that decides its bytes and holds arrays and
texts alone; one that cannot be read is made again.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from turkish_ai.errors import DataError
from turkish_ai.grounding.bank import BankWeights, QuestionBank, QuestionBanks, TaughtQuestion
from turkish_ai.routing.features import FeatureSpec
from turkish_ai.sector_data import SectorDataset, SectorExample, read_sector_dataset
from turkish_ai.settings import Settings
from turkish_ai.whole_file import write_whole

_FORMAT = 1
_KEY = "bank"  # one metadata key: safetensors writes several in no fixed order
_SOURCES = ("bank.py", "fitting.py", "files.py", "../routing/features.py", "../turkish.py")


def ensure_bank(settings: Settings, sector: str) -> QuestionBank:
    """The bank of the sector's train split, fitted now if the cache does not hold it (about two seconds).

    Of several processes at once, one fits and the others wait for it.

    Raises:
        DataError: the sector's data cannot be used, or the cache cannot be written.
    """
    dataset = read_sector_dataset(settings.sector_data_dir / f"{sector}.jsonl", sector=sector)
    path = bank_path(settings, dataset)
    if (found := _read_if_whole(path)) is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if (found := _read_if_whole(path)) is not None:
                return found
            from turkish_ai.grounding.fitting import build_bank  # SciPy: only paid where something is fitted

            bank = build_bank(list(taught_questions(dataset)))
            write_whole(path, to_bytes(bank))
            return bank
    except OSError as error:
        raise DataError(
            f"{path.parent}: the question bank cannot be kept there ({error.strerror}).",
            remedy="Set TURKISH_AI_CACHE_DIR to a folder that can be written.",
        ) from error


def question_banks(settings: Settings) -> QuestionBanks:
    """Of every sector whose data is there; fitted or read when they are needed."""

    def load(sector: str) -> QuestionBank | None:
        if not (settings.sector_data_dir / f"{sector}.jsonl").is_file():
            return None
        return ensure_bank(settings, sector)

    return QuestionBanks(load, min_confidence=settings.config.grounding.min_confidence)


def bank_path(settings: Settings, dataset: SectorDataset) -> Path:
    key = hashlib.sha256(
        f"{_FORMAT} {dataset.sha256} {dataset.phrasings_sha256} {version('numpy')} {version('scipy')}".encode()
    )
    for name in _SOURCES:
        key.update((Path(__file__).parent / name).read_bytes())
    return settings.cache_dir / "grounding" / f"{dataset.sector}-{key.hexdigest()[:24]}.safetensors"


def taught_questions(dataset: SectorDataset) -> Iterator[TaughtQuestion]:
    """Of the train split and its further phrasings: a conversation counts with its last question, which leans on the
    one before."""
    taught = {example.id: taught_question(example) for example in dataset.split("train")}
    yield from taught.values()
    for phrasing in dataset.phrasings:
        yield replace(taught[phrasing.answer_of], text=phrasing.text)


def taught_question(example: SectorExample) -> TaughtQuestion:
    asked = [message.content for message in example.messages if message.role == "user"]
    return TaughtQuestion(text=" ".join(asked[-2:]), family=example.family, answer=example.messages[-1].content)


def to_bytes(bank: QuestionBank) -> bytes:
    """The file's content: equal banks give equal bytes."""
    weights = bank.weights
    metadata = {
        "format": _FORMAT,
        "spec": asdict(weights.spec),
        "temperature": weights.temperature,
        "vocabulary": sorted(weights.vocabulary, key=weights.vocabulary.__getitem__),
        "questions": [[question.text, question.family, question.answer] for question in bank.questions],
    }
    tensors: dict[str, NDArray[Any]] = {
        "feature_weights": weights.feature_weights,
        "starts": weights.starts,
        "rows": weights.rows,
        "values": weights.values,
        "dual": weights.dual,
    }
    return save(tensors, metadata={_KEY: json.dumps(metadata, ensure_ascii=False, sort_keys=True)})


def load_bank(path: Path) -> QuestionBank:
    """Raises DataError: the file cannot be read or is not a whole bank."""
    try:
        content = path.read_bytes()
        tensors = load(content)
        header_bytes = int.from_bytes(content[:8], "little")
        metadata = json.loads(json.loads(content[8 : 8 + header_bytes])["__metadata__"][_KEY])
        if metadata["format"] != _FORMAT:
            raise ValueError(f"format {metadata['format']}")
        questions = [TaughtQuestion(text=text, family=fam, answer=said) for text, fam, said in metadata["questions"]]
        weights = BankWeights(
            spec=FeatureSpec(**metadata["spec"]),
            vocabulary={name: column for column, name in enumerate(metadata["vocabulary"])},
            feature_weights=tensors["feature_weights"],
            starts=tensors["starts"],
            rows=tensors["rows"],
            values=tensors["values"],
            dual=tensors["dual"],
            temperature=float(metadata["temperature"]),
        )
        if len(weights.starts) != len(weights.vocabulary) + 1 or len(weights.dual) != len(questions):
            raise ValueError("its parts do not fit together")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a question bank ({error}).", remedy="Delete it; it is made again.") from error
    return QuestionBank(questions, weights)


def _read_if_whole(path: Path) -> QuestionBank | None:
    try:
        return load_bank(path)
    except DataError:
        return None
