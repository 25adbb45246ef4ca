"""The application with a fake engine and router, real adapter folders, and no network."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI

from tests.fakes.engine import FakeEngine
from tests.fakes.router import FakeRouter
from turkish_ai.app import create_app
from turkish_ai.settings import Settings, load_settings

CONFIG = Path(__file__).parents[3] / "configs" / "model_config.json"
QUESTION = [{"role": "user", "content": "kredi kartı aidatı geri alınır mı?"}]

ADMIN_KEY = "gizli-şifre-à"
ADMIN = {"authorization": f"Bearer {ADMIN_KEY}".encode()}
"""What an admin call carries."""

MakeSettings = Callable[..., Settings]
OpenClient = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """Every log line of the test, as dictionaries; nothing is printed."""
    with structlog.testing.capture_logs() as lines:
        structlog.configure(processors=structlog.get_config()["processors"])  # is_configured: the app leaves it
        yield lines
    structlog.reset_defaults()


def write_adapter(folder: Path, content: str = "weights") -> None:
    """Files that the catalogue takes for an adapter; only an engine would look inside."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_text(content)


@pytest.fixture
def adapters_dir(tmp_path: Path) -> Path:
    """finance_banking has an adapter; healthcare is configured with a folder that is not there; legal with none."""
    folder = tmp_path / "adapters"
    write_adapter(folder / "finance_banking")
    return folder


@pytest.fixture
def make_settings(tmp_path: Path, adapters_dir: Path) -> MakeSettings:
    def make(
        *, limits: dict[str, Any] | None = None, inference: dict[str, Any] | None = None, **overrides: Any
    ) -> Settings:
        env = {"TURKISH_AI_CONFIG": str(CONFIG), "TURKISH_AI_ADAPTERS_DIR": str(adapters_dir), "HOME": str(tmp_path)}
        settings = load_settings(env, **overrides)
        config = settings.config
        changed = config.inference.model_copy(
            update={"limits": config.inference.limits.model_copy(update=limits or {}), **(inference or {})}
        )
        sectors = tuple(
            sector.model_copy(update={"adapter": None}) if sector.id == "legal" else sector for sector in config.sectors
        )
        return settings.model_copy(
            update={"config": config.model_copy(update={"inference": changed, "sectors": sectors})}
        )

    return make


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings(admin_key=ADMIN_KEY)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def router() -> FakeRouter:
    return FakeRouter()


@pytest.fixture
def app(settings: Settings, engine: FakeEngine, router: FakeRouter) -> FastAPI:
    return create_app(settings, engine=engine, router=router)


@asynccontextmanager
async def open_client(
    app: FastAPI, *, peer: str = "127.0.0.1", wait: bool = True, raises: bool = True
) -> AsyncIterator[httpx.AsyncClient]:
    """The application's lifespan and a client that calls it without a socket, as if from `peer`."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=(peer, 50000), raise_app_exceptions=raises)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", verify=False) as client:
            while wait and (await client.get("/ready")).json()["status"] == "loading":  # noqa: ASYNC110  # as a caller
                await asyncio.sleep(0.001)
            yield client


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(app) as opened:
        yield opened


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "auto", "messages": QUESTION, **fields}
