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
_NOT_MEASURED = "–"


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
    def evaluate(
        test: Annotated[bool, typer.Option("--test", help=say(texts.ROUTER_TEST_HELP))] = False,
        as_json: Annotated[bool, typer.Option("--json", help=say(texts.JSON_HELP))] = False,
    ) -> None:
        from turkish_ai.routing.evaluation import evaluate_router
        from turkish_ai.settings import load_settings

        report = evaluate_router(load_settings(), test=test)
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
            show(say(text), getattr(scores, name))

    def show(what: str, figure: float | None, more: str = "") -> None:
        terminal.result(f"  {what:<36} {_NOT_MEASURED if figure is None else say.number(figure, digits=3)}{more}")

    cross = report.cross_validated
    show_scores(
        say(texts.ROUTER_CROSS_VALIDATED, questions=cross.questions, classes=cross.classes, folds=report.folds), cross
    )
    for text, scores in (
        (texts.ROUTER_HELD_OUT, report.held_out),
        (texts.ROUTER_BARE, report.held_out_bare),
        (texts.ROUTER_TESTED, report.test),
        (texts.ROUTER_BARE, report.test_bare),
    ):
        if scores is not None:
            show_scores(say(text, questions=scores.questions, classes=scores.classes), scores)
    shown = report.test_bare or report.held_out_bare or report.held_out or cross
    terminal.result(say(texts.ROUTER_BY_STYLE))
    for style, accuracy in shown.accuracy_by_style.items():
        name = say(texts.ROUTER_STYLES[style]) if style in texts.ROUTER_STYLES else style
        show(name, accuracy, f"  ({shown.questions_by_style[style]})")
    if (follow_ups := report.follow_ups) is not None:
        terminal.result(say(texts.ROUTER_FOLLOW_UPS))
        for text, alone, together, count in (
            (texts.ROUTER_LATER_TURNS, follow_ups.turns_alone, follow_ups.turns_with_history, follow_ups.turns),
            (texts.ROUTER_CHANGES, follow_ups.changes_alone, follow_ups.changes_with_history, follow_ups.changes),
        ):
            figures = f"{say.number(alone, digits=3)} → {say.number(together, digits=3)}"
            terminal.result(f"  {say(text):<36} {figures}  ({count})")
    p50, p99 = say.number(report.latency_p50_us, digits=1), say.number(report.latency_p99_us, digits=1)
    terminal.result(say(texts.ROUTER_LATENCY, p50=p50, p99=p99))
    if shown.confused:
        terminal.result(say(texts.ROUTER_CONFUSED))
        for truth, found, times in shown.confused[:_MAX_CONFUSIONS]:
            terminal.result(f"  {truth} → {found}: {times}")
