"""`turkish-ai chat` in a process of its own, against a server on loopback: pipes, exit codes, and a real terminal."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.unit.cli.chat_server import ChatServer, answer, chunk
from tests.unit.cli.conftest import ROOT, Run

_PATIENCE_S = 60.0
_AGAIN_S = 3.0

SitDown = Callable[..., AbstractContextManager["Typist"]]


def test_a_question_as_argument_is_answered_on_standard_output_alone(run: Run, chat_server: ChatServer) -> None:
    shown = run("--lang", "tr", "chat", "--url", chat_server.url, "Kargom", "nerede?")
    assert (shown.returncode, shown.stdout) == (0, "Kargonuz yolda.\n")
    assert shown.stderr == "E-ticaret · güven %93 · adaptör ecommerce@0123456789ab\n"
    (asked,) = chat_server.asked
    assert asked["messages"] == [{"role": "user", "content": "Kargom nerede?"}]
    assert asked["model"] == "auto"
    assert asked["stream"] is True
    assert "max_tokens" not in asked


def test_a_question_from_a_pipe_is_answered_too(run: Run, chat_server: ChatServer) -> None:
    shown = run("chat", "--url", chat_server.url, "--max-tokens", "7", "--model", "base", stdin="İki satır\nolabilir\n")
    assert shown.stdout == "Kargonuz yolda.\n"
    assert chat_server.asked[0]["messages"][0]["content"] == "İki satır\nolabilir"
    assert chat_server.asked[0]["max_tokens"] == 7
    assert chat_server.asked[0]["model"] == "base"


def test_json_holds_the_answer_and_everything_about_it(run: Run, chat_server: ChatServer) -> None:
    shown = run("chat", "--url", chat_server.url, "--json", stdin="Kargom nerede?")
    assert shown.stderr == ""
    found = json.loads(shown.stdout)
    assert found["question"] == "Kargom nerede?"
    assert found["answer"] == "Kargonuz yolda."
    assert (found["sector"], found["sector_name"], found["confidence"]) == ("ecommerce", "E-ticaret", 0.93)
    assert (found["adapter"], found["version"], found["engine"]) == ("ecommerce", "0123456789ab", "fake")
    assert (found["finish_reason"], found["fallback"]) == ("stop", None)
    assert found["usage"]["completion_tokens"] == 2


def test_the_configured_address_is_asked_when_none_is_given(run: Run, chat_server: ChatServer) -> None:
    port = chat_server.url.rpartition(":")[2]
    assert run("chat", "soru", env={"TURKISH_AI_PORT": port}).stdout == "Kargonuz yolda.\n"


def test_no_server_at_the_given_url_is_an_error_and_starts_none(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    shown = run("chat", "--url", f"127.0.0.1:{port}", "soru")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.startswith("Error (no server): No server answers at http://127.0.0.1:")
    assert "turkish-ai serve" in shown.stderr


@pytest.mark.parametrize("given", ["http://[::1", "http://localhost:port"])
def test_a_url_that_is_none_is_one_line(run: Run, given: str) -> None:
    shown = run("--lang", "tr", "chat", "--url", given, "soru")
    assert shown.returncode == 1
    assert shown.stderr.count("\n") == 1
    assert "bir URL değil" in shown.stderr


def test_without_standard_input_there_is_no_question(environment: dict[str, str]) -> None:
    for command, said in (("chat", "The question is empty"), ("classify", "There is no text to classify")):
        ran = subprocess.run(
            ["bash", "-c", f'"{sys.executable}" -m turkish_ai.cli {command} <&-'],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 2
        assert said in ran.stderr


def test_a_busy_server_is_not_replaced_by_another(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        shown = run("--lang", "tr", "chat", "soru", env={"TURKISH_AI_PORT": str(silent.getsockname()[1])})
    assert shown.returncode == 1
    assert "başlatılıyor" not in shown.stderr
    assert "5 saniye içinde yanıt vermedi" in shown.stderr


def test_in_english_the_sector_has_its_english_name(run: Run, chat_server: ChatServer) -> None:
    shown = run("chat", "--url", f"{chat_server.url}/v1", "Kargom nerede?")
    assert shown.stderr == "E-commerce · confidence 93% · adapter ecommerce@0123456789ab\n"


def test_a_refusal_of_the_server_is_one_line_and_exit_code_1(run: Run, chat_server: ChatServer) -> None:
    chat_server.status = 404
    chat_server.refusal = {"error": {"message": "Model 'cooking' is not known here.", "code": "model_not_found"}}
    shown = run("chat", "--url", chat_server.url, "--model", "cooking", "soru")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr == "Error: Model 'cooking' is not known here.\n"


def test_an_answer_that_breaks_off_is_an_error_and_not_an_answer(run: Run, chat_server: ChatServer) -> None:
    chat_server.events = answer("yarım")[:2]
    shown = run("chat", "--url", chat_server.url, "soru")
    assert shown.returncode == 1
    assert "before the answer was complete" in shown.stderr
    as_json = run("chat", "--url", chat_server.url, "--json", "soru")
    assert (as_json.returncode, as_json.stdout) == (1, "")


def test_a_server_that_died_is_told_apart_from_one_that_loads(run: Run, chat_server: ChatServer) -> None:
    chat_server.phase = "dead"
    shown = run("chat", "--url", chat_server.url, "soru")
    assert shown.returncode == 1
    assert "does not answer questions: the model" in shown.stderr


# --- at a terminal --------------------------------------------------------------------------------------------------


class Typist:
    """A person at a terminal: types, presses keys, and reads what the screen shows."""

    def __init__(self, screen: int, process: "subprocess.Popen[bytes]") -> None:
        self._screen = screen
        self.process = process
        self.seen = ""

    def type(self, line: str) -> None:
        os.write(self._screen, f"{line}\n".encode())

    def press(self, key: bytes) -> None:
        os.write(self._screen, key)

    def waits_for(self, text: str) -> None:
        """Read on until `text` appears; what stood before it is not found again."""
        deadline = time.monotonic() + _PATIENCE_S
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} did not come; the screen shows {self.seen!r}"
            if select.select([self._screen], [], [], 0.1)[0]:
                self.seen += _plain(self._read())
        self.seen = self.seen.partition(text)[2]

    def leaves(self, *, pressing: bytes | None = None) -> int:
        """Wait for the end and return the exit code. `pressing`: a key to press again where nothing happens.

        Python loses a Ctrl-C in the moment between showing a prompt and waiting for a key.
        """
        deadline = time.monotonic() + _PATIENCE_S
        again = time.monotonic() + _AGAIN_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.seen
            if pressing is not None and time.monotonic() > again:
                self.press(pressing)
                again = deadline
            if select.select([self._screen], [], [], 0.1)[0]:
                self.seen += _plain(self._read())
        return self.process.returncode

    def _read(self) -> bytes:
        with contextlib.suppress(OSError):  # Linux says EIO once the other side has closed
            return os.read(self._screen, 65536)
        return b""


def _plain(shown: bytes) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode(errors="replace")).replace("\r", "")


@pytest.fixture
def at_terminal(environment: dict[str, str]) -> SitDown:
    @contextmanager
    def sit_down(*arguments: str) -> Iterator[Typist]:
        screen, keyboard = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "turkish_ai.cli", "--lang", "tr", *arguments],
            cwd=ROOT,
            env=environment | {"TERM": "xterm"},
            stdin=keyboard,
            stdout=keyboard,
            stderr=keyboard,
            start_new_session=True,
            preexec_fn=_take_the_terminal,  # no other thread of this test starts processes
        )
        os.close(keyboard)
        try:
            yield Typist(screen, process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
            os.close(screen)

    return sit_down


def _take_the_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_person_at_a_terminal_talks_until_ctrl_d(at_terminal: SitDown, chat_server: ChatServer) -> None:
    with at_terminal("chat", "--url", chat_server.url) as person:
        person.waits_for("siz> ")
        person.type("Kargom nerede?")
        person.waits_for("E-ticaret · güven %93")
        person.waits_for("Kargonuz yolda.")
        person.waits_for("siz> ")
        person.type("/sektör sağlık")
        person.waits_for("Bundan sonra: Sağlık")
        person.waits_for("siz> ")
        person.type("Peki ne zaman gelir?")
        person.waits_for("Kargonuz yolda.")
        person.waits_for("siz> ")
        person.press(b"\x04")
        assert person.leaves() == 0
    first, second = chat_server.asked
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    assert (first["model"], second["model"]) == ("auto", "healthcare")


def test_ctrl_c_stops_the_answer_and_once_more_leaves(at_terminal: SitDown, chat_server: ChatServer) -> None:
    chat_server.events = [*answer("Uzun bir ", "yanıt ")[:3], chunk("hiç gelmez")]
    chat_server.hold_after = 3
    with at_terminal("chat", "--url", chat_server.url) as person:
        person.waits_for("siz> ")
        person.type("anlat")
        person.waits_for("yanıt ")
        assert chat_server.holding.wait(_PATIENCE_S)
        person.press(b"\x03")
        person.waits_for("yanıt kesildi")
        assert chat_server.hung_up.wait(_PATIENCE_S), "the server learns of it"
        person.waits_for("siz> ")
        person.press(b"\x03")
        assert person.leaves(pressing=b"\x03") == 0
        assert "Traceback" not in person.seen


def test_ctrl_c_ends_a_single_question_with_130(at_terminal: SitDown, chat_server: ChatServer) -> None:
    chat_server.hold_after = 2
    with at_terminal("chat", "--url", chat_server.url, "soru") as person:
        person.waits_for("Kargonuz")
        assert chat_server.holding.wait(_PATIENCE_S)
        person.press(b"\x03")
        person.waits_for("Durduruldu.")
        assert person.leaves() == 130
        assert "Traceback" not in person.seen


def test_ctrl_c_while_waiting_for_a_server_says_that_it_stopped(at_terminal: SitDown, chat_server: ChatServer) -> None:
    chat_server.phase = "loading"
    with at_terminal("chat", "--url", chat_server.url, "soru") as person:
        person.waits_for("henüz hazır değil (açılıyor)")
        person.press(b"\x03")
        person.waits_for("Durduruldu.")
        assert person.leaves() == 130


def test_a_list_at_a_terminal_has_a_heading(at_terminal: SitDown) -> None:
    with at_terminal("adapters", "list") as person:
        person.waits_for("Kimlik")
        person.waits_for("Sürüm")
        person.waits_for("E-ticaret")
        assert person.leaves() == 0
