"""The server for one session answers while the session lasts, and says why where it cannot."""

import json
import threading
from pathlib import Path

import pytest

from tests.fakes.engine import FakeEngine
from tests.fakes.router import FakeRouter
from turkish_ai.app import create_app
from turkish_ai.cli.chat_client import ChatClient, Ending, Origin
from turkish_ai.cli.local_server import listen_on_a_free_port, local_server, url_of
from turkish_ai.errors import UnsupportedModel
from turkish_ai.messages import Message
from turkish_ai.settings import load_settings

pytestmark = pytest.mark.usefixtures("isolated")


def test_a_question_is_answered_by_the_real_application() -> None:
    settings = load_settings()
    with listen_on_a_free_port() as listener:
        url = url_of(listener)
        app = create_app(settings, engine=FakeEngine("Mer", "haba."), router=FakeRouter({}), url=url)
        with local_server(app, listener):
            client = ChatClient(url)
            question = [Message(role="user", content="Selam")]
            with client.ask(question, model="auto", max_tokens=5) as pieces:
                origin, *texts, ending = pieces
            client.close()
        assert ChatClient(url).standing() is None, "it is gone with the session"
    assert isinstance(origin, Origin)
    assert (origin.sector, origin.sector_name, origin.engine, origin.routed) == ("general", "Genel", "fake", True)
    assert "".join(map(str, texts)) == "Merhaba."
    assert isinstance(ending, Ending)
    assert ending.finish_reason == "stop"
    assert ending.usage is not None
    assert not [thread for thread in threading.enumerate() if thread.name == "local-server"]


def test_what_stops_the_loading_is_raised(capsys: pytest.CaptureFixture[str]) -> None:
    engine = FakeEngine(load_error=UnsupportedModel("The model needs a GPU."))
    with listen_on_a_free_port() as listener:
        app = create_app(load_settings(), engine=engine, router=FakeRouter())
        with pytest.raises(UnsupportedModel, match="needs a GPU"), local_server(app, listener):
            pytest.fail("it was never ready")


def test_the_sectors_of_the_real_application_can_be_read(tmp_path: Path) -> None:
    settings = load_settings()
    with listen_on_a_free_port() as listener:
        app = create_app(settings, engine=FakeEngine(), router=FakeRouter())
        with local_server(app, listener):
            cards = ChatClient(url_of(listener)).sectors()
    names = {sector["id"]: sector["name_tr"] for sector in json.loads(settings.config_path.read_text())["sectors"]}
    assert {card.id: card.name_tr for card in cards} == names | {"general": "Genel"}
