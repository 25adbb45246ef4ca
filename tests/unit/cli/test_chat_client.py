"""What a server says becomes pieces of an answer, and what goes wrong becomes an error of ours."""

from collections.abc import Callable

import httpx
import pytest

from tests.unit.cli.chat_server import DONE, ECOMMERCE, answer, chunk
from turkish_ai.cli.chat_client import ChatClient, Ending, Origin, Piece, Refused, Unanswered
from turkish_ai.errors import EngineUnavailable, GenerationFailed, TurkishAiError
from turkish_ai.messages import Message

QUESTION = [Message(role="user", content="Kargom nerede?")]


def client(handle: Callable[[httpx.Request], httpx.Response]) -> ChatClient:
    return ChatClient("http://server", transport=httpx.MockTransport(handle))


def stream(*events: str) -> Callable[[httpx.Request], httpx.Response]:
    body = "".join(f"data: {event}\n\n" for event in events)
    return lambda _: httpx.Response(200, text=body, headers={"content-type": "text/event-stream"})


def ask(found: ChatClient, *, model: str = "auto") -> list[Piece]:
    with found.ask(QUESTION, model=model, max_tokens=None) as pieces:
        return list(pieces)


def test_an_answer_is_its_origin_then_its_texts_then_its_ending() -> None:
    origin, *texts, ending = ask(client(stream(*answer("Kargonuz ", "yolda."))))
    assert isinstance(origin, Origin)
    assert (origin.sector, origin.adapter, origin.confidence) == ("ecommerce", "ecommerce", 0.93)
    assert origin.routed
    assert texts == ["Kargonuz ", "yolda."]
    assert ending == Ending(
        finish_reason="stop",
        model="ecommerce@0123456789ab",
        usage={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    )


def test_an_answer_by_a_named_model_was_not_routed() -> None:
    origin = ask(client(stream(*answer("ok"))), model="ecommerce")[0]
    assert isinstance(origin, Origin)
    assert not origin.routed


def test_an_error_in_the_stream_is_raised_after_what_came_before_it() -> None:
    events = [chunk("yarım", turkish_ai=ECOMMERCE), '{"error": {"message": "The engine died.", "code": "x"}}']
    told: list[Piece] = []

    def listen() -> None:
        with client(stream(*events)).ask(QUESTION, model="auto", max_tokens=None) as pieces:
            for piece in pieces:
                told.append(piece)

    with pytest.raises(TurkishAiError, match="The engine died"):
        listen()
    assert told[-1] == "yarım"


@pytest.mark.parametrize("events", [[], [chunk("yarım")], [chunk("yarım"), chunk(finish="stop")]])
def test_a_stream_without_its_end_is_never_taken_for_a_whole_answer(events: list[str]) -> None:
    with pytest.raises(GenerationFailed, match="before the answer was complete"):
        ask(client(stream(*events)))


@pytest.mark.parametrize("event", ["{", "[1]", "nonsense"])
def test_an_event_that_cannot_be_read_is_an_error(event: str) -> None:
    with pytest.raises(GenerationFailed):
        ask(client(stream(event, DONE)))


def test_a_refusal_is_told_in_the_servers_words() -> None:
    refusal = {"error": {"message": "Model 'x' is not known here. GET /v1/models lists them.", "code": "y"}}
    with pytest.raises(TurkishAiError, match=r"^Model 'x' is not known here\. GET"):
        ask(client(lambda _: httpx.Response(404, json=refusal)))


def test_a_refusal_without_a_reason_names_the_status() -> None:
    with pytest.raises(TurkishAiError, match="502"):
        ask(client(lambda _: httpx.Response(502, text="<html>")))


def test_a_server_that_cannot_be_reached_is_an_error_with_a_remedy() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    assert client(refuse).standing() is None
    with pytest.raises(EngineUnavailable, match="turkish-ai serve"):
        ask(client(refuse))


def test_a_server_that_listens_and_says_nothing_is_not_taken_for_none() -> None:
    def be_silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("", request=request)

    with pytest.raises(Unanswered, match="accepts connections and did not answer within 5 s"):
        client(be_silent).standing()


def test_what_speaks_no_http_is_a_stranger() -> None:
    def babble(request: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("illegal status line", request=request)

    with pytest.raises(EngineUnavailable, match="not this project's server"):
        client(babble).standing()


def test_the_apis_address_is_the_servers() -> None:
    assert ChatClient("http://localhost:8000/v1").url == "http://localhost:8000"
    assert ChatClient("http://localhost:8000/v1/").url == "http://localhost:8000"


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(EngineUnavailable, match=r"http://\[::1 is not a URL"):
        ChatClient("http://[::1")


def test_a_known_refusal_is_told_in_turkish_with_the_model_that_was_asked_for() -> None:
    refusal = {"error": {"message": "Sector 'legal' has no adapter on this server.", "code": "adapter_not_found"}}
    with pytest.raises(Refused) as refused:
        ask(client(lambda _: httpx.Response(404, json=refusal)), model="legal")
    assert refused.value.refusal == "adapter_not_found"
    assert refused.value.message_tr is not None
    assert refused.value.message_tr.startswith("'legal' sektörünün bu sunucuda adaptörü yok.")


def test_a_stranger_on_the_port_is_not_taken_for_our_server() -> None:
    with pytest.raises(EngineUnavailable, match="not this project's server"):
        client(lambda _: httpx.Response(200, text="hello")).standing()


def test_a_server_that_is_not_ready_says_how_far_it_is() -> None:
    body = {"status": "loading", "detail": "base model: 40 %"}
    standing = client(lambda _: httpx.Response(503, json=body)).standing()
    assert standing is not None
    assert (standing.phase, standing.detail) == ("loading", "base model: 40 %")
