"""`turkish-ai classify`: the sector of texts, found in this process.

Takes texts from the command line or lines from standard input, and answers each as soon as it is read.
"""

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from turkish_ai.cli import texts
from turkish_ai.cli.terminal import Terminal
from turkish_ai.cli.wording import command_class
from turkish_ai.messages import SectorChoice

_LEAST_SHOWN = 0.005
"""A sector that would be shown with 0 % says nothing."""


def register(app: typer.Typer, terminal: Terminal) -> None:
    say = terminal.say

    @app.command(
        name="classify",
        help=say(texts.CLASSIFY_HELP),
        epilog=say(texts.CLASSIFY_MORE),
        cls=command_class(say.language),
        rich_help_panel=say(texts.HEADING_USE),
    )
    def classify(
        context: typer.Context,
        text: Annotated[
            list[str] | None,
            typer.Argument(metavar=say(texts.TEXT_NAME), help=say(texts.CLASSIFY_TEXT_HELP), show_default=False),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help=say(texts.JSON_HELP))] = False,
        evidence: Annotated[bool, typer.Option("--evidence", help=say(texts.EVIDENCE_HELP))] = False,
    ) -> None:
        if (not text and (sys.stdin is None or terminal.is_asked_by_a_person)) or (
            text and not all(word.strip() for word in text)
        ):
            context.fail(say(texts.CLASSIFY_NOTHING))
        from turkish_ai.cli.router import load_router
        from turkish_ai.cli.sectors import sector_name
        from turkish_ai.settings import load_settings

        settings = load_settings()
        router = load_router(settings)
        found = False
        for asked in text or _lines():
            found = True
            choice = router.choose(asked)

            def name(sector: str) -> str:
                return sector_name(sector, config=settings.config, say=say)

            if as_json:
                terminal.json(_as_object(asked, choice, name(choice.sector), evidence=evidence))
                continue
            terminal.result(f"{name(choice.sector)} ({choice.sector}) {say.percent(choice.confidence)}")
            if evidence:
                others = ", ".join(f"{name(s)} {say.percent(p)}" for s, p in choice.top if _counts(s, p, choice))
                if choice.evidence:
                    terminal.result("  " + say(texts.CLASSIFY_EVIDENCE, words=", ".join(choice.evidence)))
                if others:
                    terminal.result("  " + say(texts.CLASSIFY_ALSO, others=others))
        if not found:
            terminal.note(say(texts.CLASSIFY_NOTHING))


def _counts(sector: str, probability: float, choice: SectorChoice) -> bool:
    return sector != choice.sector and probability >= _LEAST_SHOWN


def _lines() -> Iterator[str]:
    for line in sys.stdin:
        if line.strip():
            yield line.rstrip("\r\n")


def _as_object(text: str, choice: SectorChoice, name: str, *, evidence: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "text": text,
        "sector": choice.sector,
        "sector_name": name,
        "confidence": round(choice.confidence, 4),
        "top": [{"sector": sector, "confidence": round(p, 4)} for sector, p in choice.top],
    }
    if evidence:
        found["evidence"] = list(choice.evidence)
    return found
