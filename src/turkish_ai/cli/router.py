"""`turkish-ai router`: build the sector router and measure it. `load_router` is for every command that routes here.

Knows where a router comes from; how it is fitted, measured and asked is `routing`'s.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from turkish_ai.cli import texts
from turkish_ai.cli.terminal import Terminal
from turkish_ai.cli.wording import command_class, group_class

if TYPE_CHECKING:
    from turkish_ai.routing.evaluation import RouterReport, Scores
    from turkish_ai.routing.router import SectorRouter
    from turkish_ai.settings import Settings

_MAX_CONFUSIONS = 8


def register(app: typer.Typer, terminal: Terminal) -> None:
    say = terminal.say
    group = typer.Typer(name="router", help=say(texts.ROUTER_HELP), cls=group_class(say.language))
    command = command_class(say.language)

    @group.command(name="build", help=say(texts.ROUTER_BUILD_HELP), cls=command)
    def build() -> None:
        from turkish_ai.routing.model import load_model
        from turkish_ai.routing.training import ensure_router
        from turkish_ai.settings import load_settings

        path = ensure_router(load_settings())
        terminal.result(say(texts.ROUTER_BUILT, version=load_model(path).sha256[:12], path=path))

    @group.command(name="evaluate", help=say(texts.ROUTER_EVALUATE_HELP), cls=command)
    def evaluate(as_json: Annotated[bool, typer.Option("--json", help=say(texts.JSON_HELP))] = False) -> None:
        from turkish_ai.routing.evaluation import evaluate_router
        from turkish_ai.settings import load_settings

        report = evaluate_router(load_settings())
        if as_json:
            terminal.result(report.to_json().rstrip("\n"))
        else:
            _show(report, terminal)

    app.add_typer(group, rich_help_panel=say(texts.HEADING_MODELS))


def load_router(settings: "Settings") -> "SectorRouter":
    """The router for the repository's data, trained first if the cache does not hold it (seconds)."""
    from turkish_ai.routing.model import load_model
    from turkish_ai.routing.router import SectorRouter
    from turkish_ai.routing.training import ensure_router

    return SectorRouter(load_model(ensure_router(settings)), config=settings.config.routing)


def _show(report: "RouterReport", terminal: Terminal) -> None:
    say = terminal.say

    def show_scores(title: str, scores: "Scores") -> None:
        terminal.result(title)
        for name, text in texts.ROUTER_SCORES:
            terminal.result(f"  {say(text):<36} {say.number(getattr(scores, name), digits=3)}")

    cross = report.cross_validated
    show_scores(say(texts.ROUTER_CROSS_VALIDATED, questions=cross.questions, folds=report.folds), cross)
    if report.held_out is not None:
        show_scores(say(texts.ROUTER_HELD_OUT, questions=report.held_out.questions), report.held_out)
    p50, p99 = say.number(report.latency_p50_us, digits=1), say.number(report.latency_p99_us, digits=1)
    terminal.result(say(texts.ROUTER_LATENCY, p50=p50, p99=p99))
    if report.confused:
        terminal.result(say(texts.ROUTER_CONFUSED))
        for truth, found, times in report.confused[:_MAX_CONFUSIONS]:
            terminal.result(f"  {truth} → {found}: {times}")
