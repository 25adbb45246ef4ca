"""A small repository of questions for all 23 classes, and the router trained from it."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from turkish_ai.routing.model import load_model
from turkish_ai.routing.router import SectorRouter
from turkish_ai.routing.training import ensure_router
from turkish_ai.settings import Sector, Settings, load_settings

ROOT = Path(__file__).resolve().parents[3]
PATTERNS = ("{} hakkında bilgi istiyorum", "{} nasıl yapılıyor?", "bizim {} sorunu ne zaman çözülür")
SMALL_TALK = ("merhaba", "nasılsın", "günaydın", "teşekkürler", "hava bugün çok güzel", "bana bir fıkra anlat", "😀")
TURNS = ("Kredi kartımı kaybettim, ne yapmalıyım?", "Kartınızı kapattırın.", "peki ne kadar sürer?", "İki gün.")


def bare(sector: str, texts: Sequence[str]) -> list[dict[str, object]]:
    return [
        {"id": f"r-{sector}-{number}", "sector": sector, "style": "plain", "text": text}
        for number, text in enumerate(texts)
    ]


def conversation(row_id: str, sector: str, split: str, *turns: str) -> dict[str, object]:
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": turn} for number, turn in enumerate(turns)]
    return {
        "id": row_id,
        "sector": sector,
        "family": row_id.rsplit("-", 1)[0],
        "style": "colloquial",
        "split": split,
        "messages": messages,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyRepository:
    root: Path

    @property
    def routing(self) -> Path:
        return self.root / "data" / "routing"

    @property
    def sectors(self) -> Path:
        return self.root / "data" / "sectors"

    def write(self, file: Path, rows: Sequence[dict[str, object]]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")

    def append(self, file: Path, line: str) -> None:
        with file.open("a", encoding="utf-8") as opened:
            opened.write(line + "\n")

    def settings(self, cache: Path) -> Settings:
        return load_settings(
            {
                "TURKISH_AI_CONFIG": str(self.root / "configs" / "model_config.json"),
                "TURKISH_AI_CACHE_DIR": str(cache),
            }
        )

    def described(self) -> tuple[Sector, ...]:
        return self.settings(self.root).config.sectors


def make_repository(root: Path) -> TinyRepository:
    repository = TinyRepository(root=root)
    (root / "configs").mkdir(parents=True)
    for name in ("model_config.json", "chat_template.jinja"):
        shutil.copy(ROOT / "configs" / name, root / "configs" / name)
    for sector in repository.described():
        words = [word.strip(",") for word in sector.description_tr.split() if len(word) > 3]
        texts = [pattern.format(f"{sector.name_tr} {word}") for word in words for pattern in PATTERNS]
        repository.write(repository.routing / f"{sector.id}.jsonl", bare(sector.id, texts))
    repository.write(repository.routing / "general.jsonl", bare("general", SMALL_TALK))
    repository.write(
        repository.sectors / "finance_banking.jsonl",
        [
            conversation("kart-kayip-1", "finance_banking", "train", *TURNS),
            conversation("kart-kayip-2", "finance_banking", "train", "kredi kartım kayıp", "Kapattırın."),
            conversation("kart-kayip-3", "finance_banking", "train", "kartımı çaldılar", "Kapattırın."),
            conversation("faiz-1", "finance_banking", "dev", "faizxdev oranı kaç?", "Bankaya sorun."),
            conversation("faiz-2", "finance_banking", "test", "faizxtest oranı kaç?", "Bankaya sorun."),
        ],
    )
    return repository


@pytest.fixture
def repository(tmp_path: Path) -> TinyRepository:
    return make_repository(tmp_path / "repository")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Path]:
    folder = tmp_path_factory.mktemp("router")
    settings = make_repository(folder / "repository").settings(folder / "cache")
    return settings, ensure_router(settings)


@pytest.fixture(scope="session")
def router(trained: tuple[Settings, Path]) -> SectorRouter:
    settings, path = trained
    return SectorRouter(load_model(path), config=settings.config.routing)


@pytest.fixture(scope="session")
def router_with(trained: tuple[Settings, Path]) -> Callable[..., SectorRouter]:
    """The trained router under other settings of `routing`."""

    def build(**changes: object) -> SectorRouter:
        settings, path = trained
        return SectorRouter(load_model(path), config=settings.config.routing.model_copy(update=changes))

    return build
