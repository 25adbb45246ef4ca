"""Say what a test run came to: every skip with its reason, then one line of figures.

Called by `.ci/run` with the JUnit file that pytest wrote; on GitHub it also writes the job's summary. The last line is
`N passed, N failed, N skipped`. Exits with 1 if a test failed or none ran. Knows nothing of the tests.
"""

import os
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """`skips` maps a reason to the tests that gave it."""

    passed: int
    failed: tuple[str, ...]
    skips: dict[str, list[str]]

    @property
    def figures(self) -> str:
        return f"{self.passed} passed, {len(self.failed)} failed, {sum(map(len, self.skips.values()))} skipped"

    def lines(self) -> list[str]:
        shown = [f"FAILED {name}" for name in self.failed]
        for reason, names in sorted(self.skips.items()):
            shown.append(f"SKIPPED [{len(names)}] {reason}")
            shown += [f"  {name}" for name in names]
        return shown


def read(junit: Path) -> Summary:
    passed = 0
    failed: list[str] = []
    skips: defaultdict[str, list[str]] = defaultdict(list)
    for case in ET.parse(junit).iter("testcase"):  # noqa: S314  # our own pytest has just written it
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif (skipped := case.find("skipped")) is not None:
            skips[skipped.get("message") or "no reason given"].append(name)
        else:
            passed += 1
    return Summary(passed=passed, failed=tuple(failed), skips=dict(skips))


def main(junit: Path) -> int:
    if not junit.is_file():
        print(f"{junit}: pytest wrote no results, so it did not get as far as running tests.", file=sys.stderr)
        print(Summary(passed=0, failed=(), skips={}).figures)
        return 1
    summary = read(junit)
    print("\n".join([*summary.lines(), summary.figures]))
    if page := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(page).open("a", encoding="utf-8") as file:
            file.write("\n".join([f"**{summary.figures}**", "```", *summary.lines(), "```"]) + "\n")
    return 1 if summary.failed or not summary.passed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
