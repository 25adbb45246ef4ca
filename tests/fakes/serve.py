"""`python -m tests.fakes.serve <what>`: the real server in a process of its own, with the fake engine inside.

For what only a process shows: signals, exit codes, what is printed. `<what>` is `answering`, `stuck` (no answer ends by
itself), `loading` (for ever) or `failing` (to load). The settings come from the environment.
"""

import sys

from tests.fakes.engine import FakeEngine, Gate
from tests.fakes.router import FakeRouter
from turkish_ai.app import run
from turkish_ai.errors import TurkishAiError, UnsupportedModel
from turkish_ai.settings import load_settings

ENGINES = {
    "answering": FakeEngine,
    "stuck": lambda: FakeEngine("bir", Gate(), "iki"),
    "loading": lambda: FakeEngine(loading=Gate()),
    "failing": lambda: FakeEngine(load_error=UnsupportedModel("The model has 7 heads.", remedy="Take another.")),
}


def main() -> None:
    try:
        run(load_settings(), engine=ENGINES[sys.argv[1]](), router=FakeRouter())
    except TurkishAiError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
