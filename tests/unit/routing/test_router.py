import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turkish_ai.messages import GENERAL
from turkish_ai.routing.router import SectorRouter
from turkish_ai.settings import SECTOR_IDS, Settings

LOST_CARD = "Kredi kartımı kaybettim, ne yapmalıyım?"


@pytest.mark.parametrize(
    ("text", "sector"),
    [
        (LOST_CARD, "finance_banking"),
        ("kartimi kaybettim", "finance_banking"),
        ("KREDİ KARTI BORCU", "finance_banking"),
        ("kredi kartım kayıııp", "finance_banking"),
        ("tahlil nasıl yapılıyor", "healthcare"),
        ("kasko poliçe", "insurance"),
        ("merhaba", GENERAL),
        ("hava bugün çok güzel", GENERAL),
    ],
)
def test_a_plain_question_finds_its_sector(router: SectorRouter, text: str, sector: str) -> None:
    assert router.choose(text).sector == sector


@pytest.mark.parametrize("text", ["", "   \n", "😀", "❤️ 🤷‍♀️", "...", "?!"])
def test_a_text_without_letters_is_general_for_certain(router: SectorRouter, text: str) -> None:
    choice = router.choose(text)
    assert (choice.sector, choice.confidence, choice.top, choice.evidence) == (GENERAL, 1.0, (), ())


def test_digits_alone_are_general_at_first_and_an_answer_later(router: SectorRouter) -> None:
    assert router.choose("1234").sector == GENERAL
    assert router.choose("1234", history=[LOST_CARD]).sector == "finance_banking"


def test_upper_case_and_ascii_typing_choose_alike(router: SectorRouter) -> None:
    assert router.choose("KREDİ KARTIM KAYIP") == router.choose("kredi kartim kayip")


def test_a_chosen_sector_comes_with_its_probability_and_its_words(router: SectorRouter) -> None:
    choice = router.choose(LOST_CARD)
    assert choice.top[0] == (choice.sector, choice.confidence)
    assert {"kredi", "kartimi"} <= set(choice.evidence)
    assert choice.fallback is None


def test_below_the_threshold_the_answer_is_general_and_the_sectors_are_still_told(
    router_with: Callable[..., SectorRouter],
) -> None:
    choice = router_with(min_confidence=1.0).choose("kartimi kaybettim")
    assert choice.sector == GENERAL
    assert choice.top[0][0] == "finance_banking"
    assert choice.confidence < choice.top[0][1] < 1
    assert choice.evidence == ()


def test_without_a_threshold_the_likeliest_sector_is_the_answer(router_with: Callable[..., SectorRouter]) -> None:
    assert router_with(min_confidence=0.0).choose("zzqq xxyy kartı").sector != ""


def test_top_is_as_long_as_configured_and_never_holds_general(router_with: Callable[..., SectorRouter]) -> None:
    top = router_with(top=22).choose("merhaba").top
    assert sorted(sector for sector, _ in top) == sorted(SECTOR_IDS)
    assert len(router_with(top=5).choose("merhaba").top) == 5


def test_probabilities_of_all_classes_sum_to_one(router: SectorRouter) -> None:
    found = router.probabilities("kredi")
    assert set(found) == {*SECTOR_IDS, GENERAL}
    assert sum(found.values()) == pytest.approx(1)
    assert router.probabilities("😀") == {}


def test_a_text_of_unknown_words_is_general(router: SectorRouter) -> None:
    assert router.choose("你好 안녕하세요").sector == GENERAL


@pytest.mark.parametrize("text", [LOST_CARD + " x" * 5000, "x " * 5000 + LOST_CARD])
def test_of_a_long_text_the_head_and_the_tail_are_read(router_with: Callable[..., SectorRouter], text: str) -> None:
    choice = router_with(max_chars=100, min_confidence=0.0).choose(text)
    assert choice.top[0][0] == "finance_banking"
    assert router_with(max_chars=100).choose("x " * 60 + LOST_CARD + " x" * 60).top[0] != choice.top[0]


def test_a_follow_up_stays_in_its_sector(router: SectorRouter) -> None:
    alone = router.choose("peki ne kadar sürer?")
    together = router.choose("peki ne kadar sürer?", history=[LOST_CARD])
    assert alone.sector != "finance_banking"
    assert together.sector == "finance_banking"
    assert "kredi" in together.evidence


def test_a_follow_up_of_a_follow_up_stays_too(router: SectorRouter) -> None:
    assert router.choose("neden?", history=[LOST_CARD, "peki ne kadar sürer?"]).sector == "finance_banking"


def test_a_new_subject_leaves_the_old_sector(router: SectorRouter) -> None:
    assert router.choose("tahlil hakkında bilgi istiyorum", history=[LOST_CARD]).sector == "healthcare"


def test_history_of_blanks_and_emoji_changes_nothing(router: SectorRouter) -> None:
    assert router.choose(LOST_CARD, history=["", "😀"]) == router.choose(LOST_CARD)


@given(text=st.text(max_size=300), history=st.lists(st.text(max_size=50), max_size=6))
def test_any_text_gets_a_known_sector_and_a_probability(router: SectorRouter, text: str, history: list[str]) -> None:
    choice = router.choose(text, history=history)
    assert choice.sector in (*SECTOR_IDS, GENERAL)
    assert 0 <= choice.confidence <= 1
    assert all(0 <= probability <= 1 for _, probability in choice.top)
    assert [p for _, p in choice.top] == sorted((p for _, p in choice.top), reverse=True)


def test_the_version_names_the_file(router: SectorRouter) -> None:
    assert len(router.version) == 12
    int(router.version, 16)


def test_serving_loads_no_scikit_learn(trained: tuple[Settings, Path]) -> None:
    settings, path = trained
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from turkish_ai.routing.model import load_model\n"
        "from turkish_ai.routing.router import SectorRouter\n"
        "from turkish_ai.routing.training import ensure_router\n"
        "from turkish_ai.settings import load_settings\n"
        "settings = load_settings()\n"
        "router = SectorRouter(load_model(ensure_router(settings)), config=settings.config.routing)\n"
        "print(router.choose('kredi').sector, 'sklearn' in sys.modules, 'scipy' in sys.modules)\n"
    )
    environment = {
        "TURKISH_AI_CONFIG": str(settings.config_path),
        "TURKISH_AI_CACHE_DIR": str(settings.cache_dir),
    }
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["finance_banking", "False", "False"]
    assert path.exists()
