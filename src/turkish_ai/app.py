"""The only place that builds things: settings in, a server out.

`create_app` is what ASGI servers and tests take; `run` is `turkish-ai serve`. The application listens at once and loads
in the background: `/ready` says when it is done. A stop signal drains it: what runs may end, what is new is refused.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from turkish_ai import __version__, logs
from turkish_ai.api import adapters, admin, chat, errors, health, models, native, openapi, pages
from turkish_ai.api.answers import Answers
from turkish_ai.api.connections import ConnectionRules
from turkish_ai.api.envelope import Envelope
from turkish_ai.api.lifecycle import Lifecycle, RefuseWhileDraining
from turkish_ai.api.limits import BodyLimits
from turkish_ai.assistant import Assistant, Catalog, References, Router
from turkish_ai.base_model import BaseModelSource, Progress, ensure_base_model, progress_for
from turkish_ai.engines.adapters import AdapterCatalog
from turkish_ai.engines.engine import Engine
from turkish_ai.errors import AdapterError, AdapterMemoryFull, AdapterRefused, Draining, SettingsError, TurkishAiError
from turkish_ai.grounding import question_banks
from turkish_ai.metrics import Metrics
from turkish_ai.settings import SECTOR_IDS, Settings

_CLOSE_S = 5
"""What connections get to take their last bytes once every answer has ended."""
_BLOCKING_THREADS = "turkish-ai-blocking"
_NO_TELEMETRY = TelemetryConfig(tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False)

_log = structlog.get_logger("turkish_ai.app")
_T = TypeVar("_T")


def create_app(
    settings: Settings,
    *,
    engine: Engine | None = None,
    router: Router | None = None,
    references: References | None = None,
    catalog: Catalog | None = None,
    url: str | None = None,
) -> FastAPI:
    """The application. What is handed in is used as it is; what is not is built from the settings while it loads.

    `url` is only for the line that says where the server is ready; None where another program listens.

    Raises:
        SettingsError: there is no admin key, and the data directory cannot keep one.
    """
    config = settings.config
    if settings.admin_key is not None:
        gate = admin.AdminGate(settings.admin_key, where="the server's TURKISH_AI_ADMIN_KEY")
    else:
        gate = admin.AdminGate(
            admin.ensure_admin_key(settings.data_dir), where="in admin_key, in the server's TURKISH_AI_DATA_DIR"
        )
    metrics = Metrics(sectors=SECTOR_IDS)
    lifecycle = Lifecycle()
    found = catalog or AdapterCatalog(settings.adapters_dir, config.adapter_folders)
    runtime = Runtime(
        settings,
        engine=engine,
        router=router,
        references=references,
        catalog=found,
        metrics=metrics,
        lifecycle=lifecycle,
        url=url,
    )
    app = FastAPI(
        title="Türk AI Agent",
        version=__version__,
        description="A self-hosted Turkish assistant that answers with the adapter of the question's sector.",
        lifespan=runtime.lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,  # our own metrics and log line say the same for less
    )
    app.state.runtime = runtime
    answers = Answers(config)
    writer = errors.ErrorWriter(retry_after_s=config.inference.retry_after_seconds)
    blocking = runtime.blocking

    errors.install(app, writer)
    chat.add_routes(app, lifecycle=lifecycle, inference=config.inference, answers=answers, errors=writer)
    models.add_routes(
        app, catalog=found, base_model=settings.base_model_name, created=int(time.time()), blocking=blocking
    )
    native.add_routes(app, lifecycle=lifecycle, config=config, catalog=found, answers=answers, blocking=blocking)
    adapters.add_routes(
        app,
        lifecycle=lifecycle,
        catalog=found,
        configured=config.adapter_folders,
        gate=gate,
        answers=answers,
        blocking=blocking,
    )
    health.add_routes(
        app,
        lifecycle=lifecycle,
        metrics=metrics,
        version=__version__,
        retry_after_s=config.inference.retry_after_seconds,
    )
    pages.add_routes(app, web_dir=Path(__file__).parent / "web")
    openapi.describe(app)
    metrics.know_routes([route.path for route in app.routes if hasattr(route, "path")])

    rules = ConnectionRules(limits=config.inference.limits, metrics=metrics, errors=writer)
    runtime.connection = rules.connection
    # The last one added sees a request first.
    app.add_middleware(BodyLimits, limits=config.inference.limits, lifecycle=lifecycle)
    app.add_middleware(RefuseWhileDraining, lifecycle=lifecycle, errors=writer)
    app.add_middleware(Envelope, metrics=metrics, errors=writer)
    return app


def run(settings: Settings, *, engine: Engine | None = None, router: Router | None = None) -> None:
    """Serve until a stop signal; what was running then has ended when this returns.

    Raises:
        SettingsError: the address cannot be listened on.
        TurkishAiError: whatever stopped the loading.
    """
    logs.configure(level=settings.log_level, fmt=settings.log_format)
    listener = _listen(settings.host, settings.port)
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104  # read, not bound
    url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    app = create_app(settings, engine=engine, router=router, url=url)
    runtime: Runtime = app.state.runtime
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing here depends on who the peer says it speaks for
            ws="none",
            timeout_graceful_shutdown=_CLOSE_S,
        )
    )
    runtime.on_failure = lambda: setattr(server, "should_exit", True)
    _log.info(f"Türk AI Agent {__version__} is loading; {url}/ready says when it is done", url=url)
    server.run(sockets=[listener])
    _leave_no_thread_behind()
    if runtime.failure is not None:
        raise runtime.failure


def build_engine(settings: Settings, *, metrics: Metrics, progress: Progress) -> Engine:
    """The configured engine, not started. Blocks: seconds of imports, and minutes of work on a first start.

    Raises:
        BaseModelUnavailable: the base model could not be fetched, checked or converted.
    """
    from turkish_ai.engines.embedded import EmbeddedEngine

    model_dir = ensure_base_model(
        BaseModelSource(
            source=settings.base_model,
            sha256=settings.base_model_sha256,
            revision=settings.config.base_model.revision,
        ),
        cache_dir=settings.cache_dir,
        progress=progress,
    )
    template = settings.chat_template_path
    return EmbeddedEngine(
        model_dir=model_dir,
        config=settings.config,
        chat_template=template.read_text(encoding="utf-8") if template else None,
        metrics=metrics,
        base_names=settings.base_model_names,
        architecture=settings.config.base_model.architecture if settings.has_configured_base else None,
    )


class Runtime:
    """What the application opens and closes: engine, router, and the threads for blocking work."""

    def __init__(
        self,
        settings: Settings,
        *,
        engine: Engine | None,
        router: Router | None,
        references: References | None,
        catalog: Catalog,
        metrics: Metrics,
        lifecycle: Lifecycle,
        url: str | None,
    ) -> None:
        self.blocking = ThreadPoolExecutor(max_workers=4, thread_name_prefix=_BLOCKING_THREADS)
        self.failure: TurkishAiError | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self.connection: Callable[..., asyncio.Protocol] | None = None
        self._settings = settings
        self._engine = engine
        self._router = router
        self._references = references
        self._catalog = catalog
        self._metrics = metrics
        self._lifecycle = lifecycle
        self._url = url
        self._loading: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        if not structlog.is_configured():
            logs.configure(level=self._settings.log_level, fmt=self._settings.log_format)
        if self._settings.admin_key is None:
            key_file = self._settings.data_dir / admin.KEY_FILE
            _log.info(f"admin calls need the key in {key_file}", key_file=str(key_file))
        try:
            async with asyncio.TaskGroup() as tasks:
                self._loading = tasks.create_task(self._load())
                server = _running_server()
                if server is not None and self.connection is not None and server.config.http in ("auto", "httptools"):
                    server.config.http_protocol_class = self.connection  # type: ignore[assignment]  # it only calls it
                with _drain_on_signals(server, lambda done: self._drain(tasks, done), self._lifecycle):
                    yield
                self._drain(tasks, lambda: None)
        finally:
            self.blocking.shutdown(wait=False, cancel_futures=True)

    # --- loading ----------------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        started = time.perf_counter()
        try:
            async with asyncio.TaskGroup() as tasks:
                engine = tasks.create_task(self._start_engine())
                router = tasks.create_task(self._load_router())
                references = tasks.create_task(self._load_references())
            assistant = Assistant(
                engine=engine.result(),
                router=router.result(),
                references=references.result(),
                catalog=self._catalog,
                sectors=self._settings.config.sectors,
                general=self._settings.config.general,
                metrics=self._metrics,
                blocking=self.blocking,
            )
            if self._settings.config.inference.embedded.preload_adapters:
                await self._preload(engine.result())
        except* TurkishAiError as group:
            self._fail(_first(group))
        except* Exception as group:  # noqa: BLE001  # the edge of a task: 503 for the callers, the rest for the log
            _log.error("loading failed", exc_info=group)
            self._fail(TurkishAiError("The server could not load.", remedy="Its log has the reason."))
        else:
            self._lifecycle.become_ready(assistant)
            took_s = time.perf_counter() - started
            where = f" at {self._url}" if self._url else ""
            _log.info(f"Türk AI Agent is ready{where} after {took_s:.1f} s", url=self._url, took_s=round(took_s, 3))

    def _fail(self, error: TurkishAiError) -> None:
        self.failure = error
        self._lifecycle.die(str(error))
        _log.error("loading failed", code=error.code, error=str(error))
        self.on_failure()

    async def _start_engine(self) -> Engine:
        if self._engine is None:
            self._engine = await self._in_thread(self._build_engine)
        self._lifecycle.report_loading("loading the base model")
        await self._engine.start()
        return self._engine

    def _build_engine(self) -> Engine:
        return build_engine(
            self._settings,
            metrics=self._metrics,
            progress=_LoadingProgress(
                self._lifecycle, shown=progress_for(sys.stderr, language=self._settings.language)
            ),
        )

    async def _load_router(self) -> Router:
        if self._router is None:
            self._router = await self._in_thread(self._build_router)
        return self._router

    def _build_router(self) -> Router:
        # The first start trains it, and scikit-learn takes seconds to import.
        from turkish_ai.routing.model import load_model
        from turkish_ai.routing.router import SectorRouter
        from turkish_ai.routing.training import ensure_router

        return SectorRouter(load_model(ensure_router(self._settings)), config=self._settings.config.routing)

    async def _load_references(self) -> References:
        if self._references is None:
            banks = question_banks(self._settings)
            for entry in await self._in_thread(self._catalog.entries):
                if entry.ref is not None and entry.ref.grounded:
                    await self._in_thread(partial(banks.prepare, entry.sector))
            self._references = banks
        return self._references

    async def _preload(self, engine: Engine) -> None:
        """An adapter that is refused here is refused again, with its reason, to whoever asks for its sector."""
        self._lifecycle.report_loading("loading adapters")
        for entry in await self._in_thread(self._catalog.entries):
            if entry.ref is None:
                continue
            try:
                await engine.load(entry.ref)
            except AdapterMemoryFull:
                _log.info("adapter memory is full; the rest load when they are asked for", sector=entry.sector)
                return
            except AdapterError as error:
                if isinstance(error, AdapterRefused):
                    self._catalog.refuse(entry.ref, error)
                _log.warning("adapter refused", sector=entry.sector, code=error.code, error=str(error))

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self.blocking, work)

    # --- stopping ---------------------------------------------------------------------------------------------------

    def _drain(self, tasks: asyncio.TaskGroup, done: Callable[[], None]) -> None:
        """Let what runs end within the configured time, once; `done` is called when the engine has stopped."""
        self._lifecycle.drain()
        self._lifecycle.stop_reading()
        if self._stopping is None:
            if self._loading is not None:
                self._loading.cancel()
            _log.info("stopping", drain_s=self._settings.config.inference.drain_seconds)
            self._stopping = tasks.create_task(self._stop_engine())
            self._stopping.add_done_callback(lambda _: done())

    async def _stop_engine(self) -> None:
        if self._engine is not None:
            await self._engine.stop(drain_s=self._settings.config.inference.drain_seconds)


class _LoadingProgress:
    """Shows the base model's preparation where `shown` does, and at /ready; ends it when the server is stopped."""

    def __init__(self, lifecycle: Lifecycle, *, shown: Progress) -> None:
        self._lifecycle = lifecycle
        self._shown = shown
        self._stage, self._total, self._done = "", 0, 0

    def start(self, stage: str, total: int | None) -> None:
        self._stage, self._total, self._done = stage, total or 0, 0
        self._shown.start(stage, total)
        self.advance(0)

    def advance(self, n: int) -> None:
        if self._lifecycle.draining:
            raise Draining("The server was stopped while it was loading.")
        self._done += n
        percent = f": {min(100, 100 * self._done // self._total)} %" if self._total else ""
        self._lifecycle.report_loading(f"base model: {self._stage}{percent}")
        if n:
            self._shown.advance(n)

    def finish(self) -> None:
        self._shown.finish()


def _running_server() -> uvicorn.Server | None:
    """The uvicorn that runs this application, under `uvicorn services.inference_service:app` as under `run`.

    It has set its signal handlers before the application starts. None elsewhere: a test's transport, another server.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if isinstance(server, uvicorn.Server) and threading.current_thread() is threading.main_thread():
        return server
    return None


@contextmanager
def _drain_on_signals(
    server: uvicorn.Server | None, begin: Callable[[Callable[[], None]], None], lifecycle: Lifecycle
) -> Iterator[None]:
    """Between a stop signal and uvicorn's own shutdown, which closes the door, let the answers end.

    uvicorn's handlers are put back when the application ends. A second Ctrl-C ends the process at once.
    """
    if server is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def close() -> None:
        if server.config.timeout_graceful_shutdown is None:
            server.config.timeout_graceful_shutdown = _CLOSE_S
        server.should_exit = True

    def handle(_signal: int, _frame: object) -> None:
        lifecycle.drain()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever presses Ctrl-C again does not want to wait
        loop.call_soon_threadsafe(begin, close)

    earlier = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        dual = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(address, family=family, backlog=2048, dualstack_ipv6=dual)
    except OSError as error:
        raise SettingsError(
            f"{host}:{port} cannot be listened on ({error.strerror}).",
            remedy="Stop what uses the port, or set TURKISH_AI_HOST and TURKISH_AI_PORT.",
        ) from error


def _first(group: BaseExceptionGroup[TurkishAiError]) -> TurkishAiError:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


def _leave_no_thread_behind() -> None:
    """Loading cannot be interrupted everywhere, and Python would wait for its thread before exiting."""
    threads = [t for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
    for thread in threads:
        thread.join(timeout=1.0)
    if any(thread.is_alive() for thread in threads):
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
