"""A conversation keeps its history, obeys its commands, and survives Ctrl-C and errors."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest

from turkish_ai.cli.chat_client import Ending, Origin, Piece, Refused, SectorCard
from turkish_ai.cli.conversation import Conversation, SectorNames, describe
from turkish_ai.cli.language import Language, Speaker
from turkish_ai.cli.terminal import Terminal
from turkish_ai.errors import GenerationFailed
from turkish_ai.messages import Message

ORIGIN = Origin(
    sector="ecommerce",
    sector_name="E-ticaret",
    confidence=0.934,
    adapter="ecommerce",
    version="0123456789ab",
    engine="fake",
    fallback=None,
    routed=True,
)
ENDING = Ending(finish_reason="stop", model="ecommerce@0123456789ab", usage=None)
CARDS = [
    SectorCard(id="ecommerce", name_tr="E-ticaret", name_en="E-commerce", version="0123456789ab"),
    SectorCard(id="healthcare", name_tr="Sağlık", name_en="Healthcare", version=None),
    SectorCard(id="general", name_tr="Genel", name_en="General", version=None),
]

Script = Sequence[Piece | BaseException]


class FakeClient:
    """Gives one script an answer, in order; a script's exception is raised where it stands."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self.asked: list[tuple[list[tuple[str, str]], str]] = []

    @contextmanager
    def ask(
        self, messages: Sequence[Message], *, model: str, max_tokens: int | None
    ) -> Iterator[Generator[Piece, None, None]]:
        self.asked.append(([(message.role, message.content) for message in messages], model))
        yield self._play(self._scripts.pop(0) if self._scripts else [ORIGIN, "Tamam.", ENDING])

    def _play(self, script: Script) -> Generator[Piece, None, None]:
        for step in script:
            if isinstance(step, BaseException):
                raise step
            yield step

    def sectors(self) -> list[SectorCard]:
        return CARDS


def converse(client: FakeClient, lines: Iterable[str | BaseException], *, language: Language = "tr") -> None:
    """Type `lines`, then Ctrl-D."""
    typed = iter(lines)

    def read_line(prompt: str) -> str:
        line = next(typed, EOFError())
        if isinstance(line, BaseException):
            raise line
        return line

    terminal = Terminal(Speaker(language))
    Conversation(client=client, terminal=terminal, model="auto", max_tokens=None, read_line=read_line).run()


def test_the_history_goes_with_every_question() -> None:
    client = FakeClient([ORIGIN, "Yol", "da.", ENDING])
    converse(client, ["Kargom nerede?", "", "Ne zaman gelir?"])
    assert client.asked[0] == ([("user", "Kargom nerede?")], "auto")
    assert client.asked[1][0] == [
        ("user", "Kargom nerede?"),
        ("assistant", "Yolda."),
        ("user", "Ne zaman gelir?"),
    ]


@pytest.mark.parametrize("command", ["/yeni", "/YENİ", "/new", "/Yeni"])
def test_a_new_conversation_forgets_the_old_one(command: str) -> None:
    client = FakeClient()
    converse(client, ["bir", command, "iki"])
    assert client.asked[1][0] == [("user", "iki")]


@pytest.mark.parametrize("command", ["/çık", "/ÇIK", "/cik", "/exit", "/quit"])
def test_leaving_asks_nothing_more(command: str) -> None:
    client = FakeClient()
    converse(client, ["bir", command, "iki"])
    assert len(client.asked) == 1


@pytest.mark.parametrize("typed", ["/sektör healthcare", "/sektor saglik", "/SEKTÖR Sağlık", "/sector Healthcare"])
def test_a_sector_can_be_named_in_any_spelling(typed: str) -> None:
    client = FakeClient()
    converse(client, [typed, "MR sonucum?", "/sektör auto", "Peki bu?"])
    assert [model for _, model in client.asked] == ["healthcare", "auto"]


def test_the_sector_general_can_be_chosen() -> None:
    client = FakeClient()
    converse(client, ["/sektör genel", "Merhaba"])
    assert client.asked[0][1] == "general"


def test_the_sectors_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    converse(FakeClient(), ["/sektör"])
    assert "ecommerce\tE-ticaret\t0123456789ab" in capsys.readouterr().out


def test_an_unknown_command_and_an_unknown_sector_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient()
    converse(client, ["/foo", "/sektör yemek", "/yardım"])
    err = capsys.readouterr().err
    assert "/foo diye bir komut yok" in err
    assert "'yemek' diye bir sektör yok" in err
    assert "/sektör KİMLİK" in err
    assert client.asked == []


def test_ctrl_c_stops_the_answer_and_the_conversation_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient([ORIGIN, "Uzun bir ", KeyboardInterrupt()])
    converse(client, ["anlat", "devam"])
    assert "yanıt kesildi" in capsys.readouterr().out
    assert client.asked[1][0] == [("user", "anlat"), ("assistant", "Uzun bir "), ("user", "devam")]


def test_a_second_ctrl_c_leaves() -> None:
    client = FakeClient([ORIGIN, KeyboardInterrupt()])
    converse(client, ["anlat", KeyboardInterrupt(), "buraya gelinmez"])
    assert len(client.asked) == 1


def test_a_question_that_got_no_answer_is_not_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient([GenerationFailed("The engine died.")])
    converse(client, ["bir", "iki"])
    assert "Hata: The engine died." in capsys.readouterr().err
    assert client.asked[1][0] == [("user", "iki")]


def test_an_answer_that_reached_its_limit_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    converse(FakeClient([ORIGIN, "yarım", Ending(finish_reason="length", model="x", usage=None)]), ["anlat"])
    assert "turkish-ai chat --max-tokens SAYI" in capsys.readouterr().out


TOO_LONG = Refused("The prompt has 5,000 tokens.", refusal="context_length_exceeded", message_tr="Sığmıyor.")


def test_a_conversation_that_is_full_forgets_its_oldest_turns_and_says_so_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fine = [ORIGIN, "Tamam.", ENDING]
    client = FakeClient(fine, fine, [TOO_LONG], [TOO_LONG], fine, [TOO_LONG], fine)
    converse(client, ["bir", "iki", "üç", "dört"])
    assert [[text for role, text in messages if role == "user"] for messages, _ in client.asked] == [
        ["bir"],
        ["bir", "iki"],
        ["bir", "iki", "üç"],
        ["iki", "üç"],
        ["üç"],
        ["üç", "dört"],
        ["dört"],
    ]
    err = capsys.readouterr().err
    assert err.count("unutuluyor") == 1
    assert "/yeni" in err
    assert "Hata" not in err


def test_a_question_that_is_too_long_alone_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient([ORIGIN, "Tamam.", ENDING], [TOO_LONG], [TOO_LONG])
    converse(client, ["bir", "uzun", "iki"])
    assert "Hata: Sığmıyor." in capsys.readouterr().err
    assert client.asked[-1][0] == [("user", "iki")]


def test_an_answer_is_described_by_sector_confidence_and_adapter_version() -> None:
    assert told(ORIGIN, "tr") == "E-ticaret · güven %93 · adaptör ecommerce@0123456789ab"
    assert told(ORIGIN, "en") == "E-commerce · confidence 93% · adapter ecommerce@0123456789ab"


def told(origin: Origin, language: Language) -> str:
    say = Speaker(language)
    return describe(origin, say, SectorNames(FakeClient(), say))


def test_a_sector_that_was_asked_for_has_no_confidence() -> None:
    asked = Origin(
        sector="general",
        sector_name="Genel",
        confidence=1.0,
        adapter=None,
        version=None,
        engine="fake",
        fallback=None,
        routed=False,
    )
    assert told(asked, "tr") == "Genel · temel model"


def test_a_fallback_names_the_sector_the_confidence_and_who_answers() -> None:
    fallback = {"code": "adapter_not_found", "sector": "healthcare", "message_tr": "x", "message_en": "x"}
    fallen = Origin(
        sector="general",
        sector_name="Genel",
        confidence=0.9,
        adapter=None,
        version=None,
        engine="fake",
        fallback=fallback,
        routed=True,
    )
    assert told(fallen, "tr") == "Sağlık · güven %90 · adaptörü yok, temel model yanıtlıyor"
    assert told(fallen, "en") == "Healthcare · confidence 90% · it has no adapter, the base model answers"
    general = replace(fallen, adapter="general", version="0123456789ab")
    assert told(general, "tr") == "Sağlık · güven %90 · adaptörü yok, genel asistan yanıtlıyor"
