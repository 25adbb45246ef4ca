"""Write docs/evaluation.md and its pictures from what was measured.

Called by the command line with the JSON files of the measurements. Every figure in the text comes out of them; a part
that was not measured is left out, and says so.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from turkish_ai.evaluation.heatmap import heatmap
from turkish_ai.messages import GENERAL
from turkish_ai.whole_file import write_whole

PARTS = ("data", "router", "answers", "losses")
"""The measurements, each with its JSON file in the folder of the pictures."""
_PICTURES = "evaluation"
_MISTAKES = 10
_SHOWN = 3
_NOT_MEASURED = "–"

Measured = Mapping[str, Any]


def write_report(docs: Path, measured: Mapping[str, Measured], *, machine: str, today: date) -> Path:
    """`measured` holds what there is of PARTS; pictures go to `docs/evaluation`. Returns the text's path."""
    pictures = docs / _PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Evaluation",
        "",
        f"Measured on {today.isoformat()}: {machine}. Written by `turkish-ai report`; the raw figures and every answer",
        f"are in [{_PICTURES}/]({_PICTURES}). `turkish-ai report --draw` writes it again from them.",
    ]
    sections = {"data": _data, "router": _router, "answers": _answers, "losses": _losses}
    for part in PARTS:
        found = measured.get(part)
        lines += ["", *(sections[part](found, pictures) if found else [f"## {part}", "", "Not measured."])]
    path = docs / "evaluation.md"
    write_whole(path, ("\n".join(lines) + "\n").encode())
    return path


# --- data -----------------------------------------------------------------------------------------------------------


def _data(found: Measured, _pictures: Path) -> list[str]:
    rows = [
        [
            entry["sector"],
            entry["rows"],
            entry["phrasings"],
            entry["answers"],
            entry["conversations"],
            entry["untaught"],
            f"{entry['question_words_p10']} / {entry['question_words_p50']} / {entry['question_words_p90']}",
            entry["answer_words_p50"],
            " / ".join(_number(share) for share in entry["distinct"]),
            _percent(entry["near_duplicates"]),
            _percent(entry["styles"].get("implicit", 0)),
        ]
        for entry in found["sectors"]
    ]
    head = [
        "sector",
        "rows",
        "further phrasings",
        "answers",
        "conversations",
        "untaught",
        "words of a question (p10 / p50 / p90)",
        "of an answer",
        "distinct runs of 1 / 2 / 3 words",
        "near duplicates",
        "implicit",
    ]
    return [
        "## Data",
        "",
        "How varied the questions are ([data/README.md](../data/README.md)).",
        "",
        *_table(head, rows),
    ]


# --- router ---------------------------------------------------------------------------------------------------------


def _router(found: Measured, pictures: Path) -> list[str]:
    tested = found["test_bare"] or found["held_out_bare"]
    split = "test" if found["test_bare"] else "dev"
    scores = [
        ("dev, bare queries", found["held_out_bare"]),
        ("test, bare queries", found["test_bare"]),
        ("dev, with untaught questions to the sectors", found["held_out"]),
        ("test, with untaught questions to the sectors", found["test"]),
        ("cross-validated", found["cross_validated"]),
    ]
    rows = [
        [
            name,
            entry["questions"],
            _number(entry["routed_accuracy"]),
            _number(entry["routed_macro_f1"]),
            _optional(entry["unknown_recall"]),
            _optional(entry["unknown_precision"]),
            _number(entry["calibration_error"]),
            f"{_percent(entry['sure_share'])}, {_optional(entry['sure_accuracy'])} right",
        ]
        for name, entry in scores
        if entry
    ]
    head = [
        "questions",
        "how many",
        "accuracy",
        "macro-F1",
        "general: found",
        "general: right",
        "calibration error",
        "at a confidence of 0.7",
    ]
    styles = [
        [style, tested["questions_by_style"][style], _number(accuracy)]
        for style, accuracy in tested["accuracy_by_style"].items()
    ]
    classes = list(tested["f1_by_class"])
    counts = {(truth, guess): count for truth, guess, count in tested["confusion"]}
    picture = heatmap(
        f"Router, bare queries of {split}: truth (rows) and likeliest class (columns)",
        rows=classes,
        columns=classes,
        values=[[float(counts.get((truth, guess), 0)) for guess in classes] for truth in classes],
        text=lambda value: f"{value:.0f}" if value else "",
        marked=lambda row, column: row == column,
    )
    write_whole(pictures / "confusion.svg", picture.encode())
    follow = found["follow_ups"]
    mistakes = [
        [entry["text"], entry["sector"], entry["found"], _number(entry["confidence"])]
        for entry in _spread(found["mistakes"], _MISTAKES)
    ]
    return [
        "## Router",
        "",
        "`turkish-ai router evaluate --test`. Learnt from the train split, calibrated on the bare questions of dev,",
        "which another hand wrote than those of the train split; those of test are of a third one. The other rows of",
        "dev and test ask the sectors for things that nobody taught. Cross-validation holds back whole families.",
        "",
        *_table(head, rows),
        "",
        f"By style of typing (bare queries of {split}, before the threshold of {found['min_confidence']}):",
        "",
        *_table(["style", "questions", "accuracy"], styles),
        "",
        f"A choice takes {found['latency_p50_us']} µs of CPU at the median and {found['latency_p99_us']} µs at p99, on",
        "questions that it meets for the first time.",
        *(
            [
                (
                    f"Later turns of a conversation are right in {_percent(follow['turns_alone'])} read alone and in "
                    f"{_percent(follow['turns_with_history'])} with the earlier turns; changes of subject in "
                    f"{_percent(follow['changes_alone'])} and {_percent(follow['changes_with_history'])}."
                ),
            ]
            if follow
            else []
        ),
        "",
        f"![confusion matrix]({_PICTURES}/confusion.svg)",
        "",
        f"{len(mistakes)} of the {len(found['mistakes'])} questions whose likeliest class was not theirs:",
        "",
        *_table(["question", "truth", "found", "confidence"], mistakes),
    ]


# --- answers --------------------------------------------------------------------------------------------------------


def _answers(found: Measured, _pictures: Path) -> list[str]:
    own = found["adapters"]["sectors"]
    rows = [
        [
            entry["sector"],
            f"{entry['taught']['own']} of {sum(entry['taught'].values())}",
            entry["taught"]["another"],
            entry["taught"]["declined"],
            entry["taught"]["invented"],
            f"{entry['untaught']['declined']} of {sum(entry['untaught'].values())}",
            _optional(entry["facts"]),
            _percent(entry["turkish"]),
            _percent(entry["finished"]),
            _number(entry["repetition"]),
        ]
        for entry in own
    ]
    rows.append(_sums(own))
    head = [
        "sector",
        "taught: own answer",
        "another taught answer",
        "says that it does not know",
        "mixed up",
        "not taught: says so",
        "facts said",
        "Turkish",
        "finished",
        "repetition",
    ]
    lines = [
        "## Answers",
        "",
        "`data/recall` asks each sector for taught answers in words that it was not trained on, and for things that",
        "nobody taught. `facts said` is the share of the facts on the questions' lists that the answers hold.",
        "`repetition` is the share of an answer's runs of four words that stood in it before.",
        "",
        *_table(head, rows),
    ]
    if base := found.get("base"):
        lines += ["", *_beside_base(found, base)]
    lines += ["", "### Unedited", "", f"The first {_SHOWN} questions of each sector's list, with what came back."]
    for entry in own:
        lines += ["", f"**{entry['sector']}**", ""]
        for answer in entry["answers"][:_SHOWN]:
            lines += [f"- {answer['question']['text']}", f"  *{answer['answer'].strip() or '(nothing)'}*"]
    wrong = [
        [answer["question"]["text"], answer["question"]["family"], answer["nearest"], answer["verdict"]]
        for entry in own
        for answer in entry["answers"]
        if answer["verdict"] in ("another", "invented")
    ]
    lines += ["", f"{min(_MISTAKES, len(wrong))} of the {len(wrong)} answers that were another's or mixed up:", ""]
    return [*lines, *_table(["question", "asked for", "answered", "verdict"], _spread(wrong, _MISTAKES))]


def _sums(own: Sequence[Measured]) -> list[Any]:
    taught, untaught = _total(own, "taught"), _total(own, "untaught")
    answers = [answer for entry in own for answer in entry["answers"]]
    facts = sum(len(answer["question"]["facts"]) for answer in answers)
    return [
        "**all**",
        f"{taught['own']} of {sum(taught.values())}",
        taught["another"],
        taught["declined"],
        taught["invented"],
        f"{untaught['declined']} of {sum(untaught.values())}",
        _optional(sum(answer["facts_said"] for answer in answers) / facts if facts else None),
        _percent(_mean(answer["turkish"] for answer in answers)),
        _percent(_mean(answer["finished"] for answer in answers)),
        _number(_mean(answer["repetition"] for answer in answers)),
    ]


def _beside_base(found: Measured, base: Measured) -> list[str]:
    """The same questions put to the base model, with nothing told."""
    ids = {answer["question"]["id"] for entry in base["sectors"] for answer in entry["answers"]}
    rows = []
    for name, report in (("own adapter", found["adapters"]), ("base model", base)):
        answers = [a for entry in report["sectors"] for a in entry["answers"] if a["question"]["id"] in ids]
        facts = sum(len(answer["question"]["facts"]) for answer in answers)
        taught = [answer for answer in answers if answer["question"]["family"] != "unknown"]
        untaught = [answer for answer in answers if answer["question"]["family"] == "unknown"]
        rows.append(
            [
                name,
                len(answers),
                _percent(_mean(answer["verdict"] == "own" for answer in taught)),
                _optional(sum(answer["facts_said"] for answer in answers) / facts if facts else None),
                _percent(_mean(answer["verdict"] == "declined" for answer in untaught)),
                _percent(_mean(answer["turkish"] for answer in answers)),
                _percent(_mean(answer["finished"] for answer in answers)),
                _number(_mean(answer["repetition"] for answer in answers)),
            ]
        )
    head = ["", "questions", "own answer", "facts said", "untaught: says so", "Turkish", "finished", "repetition"]
    return ["Some of the same questions, put to the base model as they are:", "", *_table(head, rows)]


# --- losses ---------------------------------------------------------------------------------------------------------


def _losses(found: Measured, pictures: Path) -> list[str]:
    rows = [row for row in found["rows"] if row["sector"] != GENERAL]
    names = [row["sector"] for row in rows]
    picture = heatmap(
        "Nats a token saved against the base model: sector's test answers (rows) under each adapter (columns)",
        rows=names,
        columns=names,
        values=[[row["base"] - row["adapters"][name] for name in names] for row in rows],
        text=lambda value: f"{value:.1f}",
        marked=lambda row, column: row == column,
    )
    write_whole(pictures / "losses.svg", picture.encode())
    best = {row["sector"]: min(names, key=row["adapters"].__getitem__) for row in rows}
    table = [
        [
            row["sector"],
            _number(row["base"]),
            _number(row["adapters"][row["sector"]]),
            best[row["sector"]] if best[row["sector"]] != row["sector"] else "its own",
            _optional(min((row["adapters"][name] for name in names if name != row["sector"]), default=None)),
        ]
        for row in rows
    ]
    beats = sum(row["adapters"][row["sector"]] < row["base"] for row in rows)
    leads = sum(best[sector] == sector for sector in best)
    return [
        "## Loss of answers",
        "",
        "Nats a token on answers of the test split, whose questions no sector was taught, with nothing told: whose",
        "words does an adapter know? PEFT's adapters on transformers' model, float32.",
        "",
        (
            f"The own adapter beats the base model in {beats} of {len(rows)} sectors, "
            f"and is the best of all adapters in {leads}."
        ),
        "",
        *_table(["sector", "base model", "own adapter", "best adapter", "best of the others"], table),
        "",
        f"![loss matrix]({_PICTURES}/losses.svg)",
    ]


# --- text -----------------------------------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return [line(head), "|" + "---|" * len(head), *(line(row) for row in rows)]


def _spread(entries: Sequence[Any], count: int) -> list[Any]:
    """`count` of them at even distances, so that none is picked by hand."""
    return (
        [entries[position * len(entries) // count] for position in range(min(count, len(entries)))] if entries else []
    )


def _total(entries: Iterable[Measured], name: str) -> Counter[str]:
    return sum((Counter(entry[name]) for entry in entries), Counter())


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0


def _number(value: float) -> str:
    return f"{value:.3f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _optional(value: float | None) -> str:
    return _NOT_MEASURED if value is None else _number(value)
