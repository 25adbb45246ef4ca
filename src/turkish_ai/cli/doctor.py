"""`turkish-ai doctor`: judge what `machine` found, and say what to do about it.

Each finding stands for one thing that a server needs. Pure but for the command itself: the same facts give the same
findings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from turkish_ai.cli import texts
from turkish_ai.cli.language import Speaker
from turkish_ai.cli.machine import AdapterFacts, Facts, PortFacts, ProjectFacts
from turkish_ai.cli.problem import parts
from turkish_ai.cli.terminal import Terminal
from turkish_ai.cli.wording import command_class
from turkish_ai.errors import AdapterNotFound, SettingsError, TurkishAiError

Level = Literal["ok", "warning", "problem"]

_OLDEST, _NEWEST_TRIED = (3, 11), (3, 13)
_MARKS: dict[Level, tuple[str, str]] = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`check` is a stable name for machines. Whatever is not `ok` has a remedy."""

    check: str
    level: Level
    text: str
    remedy: str | None = None


def register(app: typer.Typer, terminal: Terminal) -> None:
    say = terminal.say

    @app.command(
        name="doctor",
        help=say(texts.DOCTOR_HELP),
        epilog=say(texts.DOCTOR_MORE),
        cls=command_class(say.language),
        rich_help_panel=say(texts.HEADING_CARE),
    )
    def doctor(as_json: Annotated[bool, typer.Option("--json", help=say(texts.JSON_HELP))] = False) -> None:
        from turkish_ai.cli.machine import gather
        from turkish_ai.settings import load_settings

        try:
            facts = gather(load_settings())
        except SettingsError as error:
            facts = gather(error)
        findings = judge(facts, say)
        if as_json:
            terminal.json(
                [{"check": f.check, "level": f.level, "text": f.text, "remedy": f.remedy} for f in findings], indent=2
            )
        else:
            _show(findings, terminal)
        if any(finding.level == "problem" for finding in findings):
            raise typer.Exit(1)


def judge(facts: Facts, say: Speaker) -> list[Finding]:
    return list(_judge(facts, say))


def _judge(facts: Facts, say: Speaker) -> Iterator[Finding]:
    yield _python(facts, say)
    yield _torch(facts, say)
    if facts.project is None:
        assert facts.settings_error is not None
        yield Finding(
            check="configuration",
            level="problem",
            text=parts(facts.settings_error, say)[0],
            remedy=_remedy(facts.settings_error, say(texts.CONFIG_BAD_REMEDY), say),
        )
        return
    project = facts.project
    yield Finding(check="configuration", level="ok", text=say(texts.CONFIG_GOOD, path=project.config_path))
    yield _memory(facts, project, say)
    yield from _folders(project, say)
    yield _base_model(project, say)
    yield _router(project, say)
    yield from _adapters(project, say)
    yield _port(project.port, say)


def _python(facts: Facts, say: Speaker) -> Finding:
    version = ".".join(map(str, facts.python))
    if facts.python[:2] < _OLDEST:
        return _problem("python", say(texts.PYTHON_OLD, version=version), say(texts.PYTHON_OLD_REMEDY))
    if facts.python[:2] > _NEWEST_TRIED:
        return _warning("python", say(texts.PYTHON_NEW, version=version), say(texts.PYTHON_NEW_REMEDY))
    return _ok("python", say(texts.PYTHON_GOOD, version=version))


def _torch(facts: Facts, say: Speaker) -> Finding:
    torch = facts.torch
    if torch is None:
        return _problem("torch", say(texts.TORCH_MISSING), say(texts.TORCH_MISSING_REMEDY))
    if torch.cuda is None:
        return _ok("torch", say(texts.TORCH_CPU, version=torch.version))
    if facts.has_gpu:
        return _ok("torch", say(texts.TORCH_CUDA, version=torch.version, cuda=torch.cuda))
    text = say(texts.TORCH_CUDA_UNUSED, version=torch.version, cuda=torch.cuda)
    return _warning("torch", text, say(texts.TORCH_CUDA_UNUSED_REMEDY))


def _memory(facts: Facts, project: ProjectFacts, say: Speaker) -> Finding:
    needed = project.needed_memory_mib
    figures = {
        "total": say.number(facts.memory_mib),
        "available": say.number(facts.memory_available_mib),
        "needed": say.number(needed),
    }
    if facts.memory_mib < needed:
        return _problem("memory", say(texts.MEMORY_SMALL, **figures), say(texts.MEMORY_SMALL_REMEDY))
    if facts.memory_available_mib < needed and project.port.state != "ours":  # our own server may be what takes it
        return _warning("memory", say(texts.MEMORY_TIGHT, **figures), say(texts.MEMORY_TIGHT_REMEDY))
    return _ok("memory", say(texts.MEMORY_GOOD, **figures))


def _folders(project: ProjectFacts, say: Speaker) -> Iterator[Finding]:
    cache, data = project.cache, project.data
    free, needed = say.number(cache.free_mib), say.number(project.min_disk_mib)
    if cache.closed is not None:
        text = say(texts.CACHE_CLOSED, path=cache.path, reason=cache.closed)
        yield _problem("cache", text, say(texts.CACHE_CLOSED_REMEDY))
    elif project.base_model.path is None and cache.free_mib < project.min_disk_mib:
        text = say(texts.DISK_FULL, path=cache.path, free=free, needed=needed)
        yield _problem("cache", text, say(texts.DISK_FULL_REMEDY))
    else:
        yield _ok("cache", say(texts.CACHE_GOOD, path=cache.path, free=free))
    if data.closed is not None:
        text = say(texts.DATA_DIR_CLOSED, path=data.path, reason=data.closed)
        yield _problem("data", text, say(texts.DATA_DIR_CLOSED_REMEDY))
    else:
        yield _ok("data", say(texts.DATA_DIR_GOOD, path=data.path))


def _base_model(project: ProjectFacts, say: Speaker) -> Finding:
    model = project.base_model
    if model.error is not None:
        return _problem("base_model", parts(model.error, say)[0], _remedy(model.error, say(texts.BASE_BAD_REMEDY), say))
    if model.path is None:
        text = say(texts.BASE_MISSING, source=model.source)
        return _warning("base_model", text, say(texts.BASE_MISSING_REMEDY))
    if model.altered:
        text = say(texts.BASE_ALTERED, files=", ".join(model.altered), path=model.path)
        return _problem("base_model", text, say(texts.BASE_ALTERED_REMEDY, path=model.path))
    return _ok("base_model", say(texts.BASE_GOOD, path=model.path))


def _router(project: ProjectFacts, say: Speaker) -> Finding:
    router = project.router
    if router.error is not None:
        text = say(texts.ROUTER_BAD, reason=parts(router.error, say)[0])
        return _problem("router", text, _remedy(router.error, say(texts.ROUTER_BAD_REMEDY), say))
    if router.version is None:
        return _warning("router", say(texts.ROUTER_MISSING), say(texts.ROUTER_MISSING_REMEDY))
    return _ok("router", say(texts.ROUTER_GOOD, version=router.version))


def _adapters(project: ProjectFacts, say: Speaker) -> Iterator[Finding]:
    if not project.adapters:
        yield _warning("adapters", say(texts.ADAPTERS_ABSENT), say(texts.ADAPTERS_ABSENT_REMEDY))
    for adapter in project.adapters:
        yield _adapter(adapter, say)


def _adapter(adapter: AdapterFacts, say: Speaker) -> Finding:
    check = f"adapter.{adapter.sector}"
    if isinstance(adapter.error, AdapterNotFound):
        text = say(texts.ADAPTER_ABSENT, sector=adapter.sector)
        return _problem(check, text, say(texts.ADAPTER_ABSENT_REMEDY, id=adapter.sector))
    if adapter.error is not None:
        text = say(texts.ADAPTER_BAD, sector=adapter.sector, reason=parts(adapter.error, say)[0])
        return _problem(check, text, _remedy(adapter.error, say(texts.ADAPTER_BAD_REMEDY, id=adapter.sector), say))
    fine = texts.ADAPTER_FINE if adapter.proven else texts.ADAPTER_UNPROVEN
    return _ok(check, say(fine, sector=adapter.sector, version=adapter.version))


def _port(port: PortFacts, say: Speaker) -> Finding:
    place = {"host": port.host, "port": port.port}
    match port.state:
        case "free":
            return _ok("port", say(texts.PORT_FREE, **place))
        case "ours":
            return _ok("port", say(texts.PORT_OURS, version=port.detail, **place))
        case "taken":
            return _problem("port", say(texts.PORT_TAKEN, **place), say(texts.PORT_TAKEN_REMEDY))
        case "unusable":
            text = say(texts.PORT_UNUSABLE, reason=port.detail, **place)
            return _problem("port", text, say(texts.PORT_UNUSABLE_REMEDY))


def _remedy(error: TurkishAiError, general: str, say: Speaker) -> str:
    """An error's own remedy is closer to the point, where it has one in the person's language."""
    own = error.remedy if say.language == "en" else error.remedy_tr
    return own or general


def _ok(check: str, text: str) -> Finding:
    return Finding(check=check, level="ok", text=text)


def _warning(check: str, text: str, remedy: str) -> Finding:
    return Finding(check=check, level="warning", text=text, remedy=remedy)


def _problem(check: str, text: str, remedy: str) -> Finding:
    return Finding(check=check, level="problem", text=text, remedy=remedy)


def _show(findings: list[Finding], terminal: Terminal) -> None:
    say = terminal.say
    for finding in findings:
        mark, colour = _MARKS[finding.level]
        terminal.result(f"{typer.style(mark, fg=colour)} {finding.text}")
        if finding.remedy is not None:
            terminal.result("  " + say(texts.DOCTOR_REMEDY, remedy=finding.remedy))
    count = {level: sum(f.level == level for f in findings) for level in _MARKS}
    terminal.result(say(texts.DOCTOR_SUMMARY, problems=count["problem"], warnings=count["warning"], good=count["ok"]))
