"""`turkish-ai serve` refuses in one line what it cannot do, before it loads anything."""

import socket
from pathlib import Path

from tests.unit.cli.chat_server import ChatServer
from tests.unit.cli.conftest import Run


def test_a_taken_port_is_one_line_with_its_remedy(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        shown = run("serve", "--port", str(taken.getsockname()[1]))
    assert shown.returncode == 1
    last = shown.stderr.splitlines()[-1]
    assert last.startswith("Error (settings): 127.0.0.1:")
    assert "TURKISH_AI_PORT" in last
    assert "Traceback" not in shown.stderr


def test_a_second_start_says_that_the_server_already_runs(run: Run, chat_server: ChatServer) -> None:
    shown = run("--lang", "tr", "serve", "--port", chat_server.url.rpartition(":")[2])
    assert shown.returncode == 1
    last = shown.stderr.splitlines()[-1]
    assert last.startswith(f"Hata (ayar): Sunucu zaten çalışıyor: {chat_server.url} (sürüm 9.9.9).")
    assert "make serve PORT=" in last


def test_a_data_folder_that_cannot_be_written_stops_the_start(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shown = run("serve", "--port", "0", "--data-dir", str(tmp_path / "file" / "below"))
    assert shown.returncode == 1
    last = shown.stderr.splitlines()[-1]
    assert last.startswith(f"Error (settings): The data folder cannot be written: {tmp_path / 'file' / 'below'}")
    assert "TURKISH_AI_DATA_DIR" in last


def test_the_help_does_not_open_the_server_to_everybody_without_a_word(run: Run) -> None:
    shown = run("serve", "--help").stdout
    assert "0.0.0.0" not in shown  # noqa: S104  # read, not bound
    assert "There are no accounts" in shown


def test_a_first_start_says_what_it_is_about_to_do(run: Run, tmp_path: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        shown = run(
            "--lang", "tr", "serve", "--port", str(taken.getsockname()[1]), env={"TURKISH_AI_CACHE_DIR": str(tmp_path)}
        )
    assert shown.stderr.startswith("İlk açılış: temel model")


def test_a_wrong_setting_stops_the_start(run: Run) -> None:
    shown = run("serve", env={"TURKISH_AI_LOG_LEVEL": "loud"})
    assert shown.returncode == 1
    assert "loud" in shown.stderr
    assert shown.stderr.count("\n") == 1
