"""A small sector whose questions are asked in several ways."""

import json
from pathlib import Path

import pytest

from turkish_ai.sector_data import SectorDataset, read_sector_dataset
from turkish_ai.settings import Settings, load_settings

SECTOR = "healthcare"
CARD = "Kartınızı bankanın uygulamasından kapattırın."
FEVER = "Çocuğu ince giydirin, bol sıvı verin."
EYES = "Göz polikliniğinden randevu alın."
UNKNOWN = "Bu konuda güvenilir bilgim yok; hekiminize sorun."

_ROWS = [
    ("kart", "train", ["Kartımı kaybettim, ne yapayım?"], CARD),
    ("kart", "train", ["kartım çalındı nasıl kapatırım"], CARD),
    ("kart", "train", ["Kayıp kartın kapatılması"], CARD),
    ("ates", "train", ["Çocuğumun ateşi çıktı"], FEVER),
    ("ates", "train", ["cocugumda yuksek ates var napcam"], FEVER),
    ("ates", "train", ["Ateşli çocuğa ne yapılır?"], FEVER),
    ("goz", "train", ["Gözüm bulanık görüyor", "Peki hangi bölüme gideyim?"], EYES),
    ("goz", "train", ["Göz muayenesi için nereye gidilir?"], EYES),
    ("bilinmeyen-ucret", "train", ["Muayene ücreti ne kadar?"], UNKNOWN),
    ("bilinmeyen-ucret", "train", ["Ameliyat kaç lira tutar?"], UNKNOWN),
    ("bilinmeyen-ucret", "train", ["Tahlil parası ne kadar?"], UNKNOWN),
    ("kan", "dev", ["Kan bağışı yapabilir miyim?"], "Kan merkezine sorun."),
]


def write(file: Path) -> Path:
    lines = []
    for number, (family, split, asked, answer) in enumerate(_ROWS):
        messages = []
        for text in asked:
            messages += [{"role": "user", "content": text}, {"role": "assistant", "content": "Anlıyorum."}]
        messages[-1]["content"] = answer
        lines.append(
            json.dumps(
                {
                    "id": f"h-{number}",
                    "sector": SECTOR,
                    "family": family,
                    "style": "plain",
                    "split": split,
                    "messages": messages,
                    "provenance": "test",
                }
            )
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def dataset(tmp_path: Path) -> SectorDataset:
    return read_sector_dataset(write(tmp_path / "data" / "sectors" / f"{SECTOR}.jsonl"), sector=SECTOR)


@pytest.fixture
def settings(tmp_path: Path, dataset: SectorDataset) -> Settings:
    """Whose data is the small sector's, with a cache of its own."""
    return load_settings().model_copy(update={"root": tmp_path, "cache_dir": tmp_path / "cache"})
