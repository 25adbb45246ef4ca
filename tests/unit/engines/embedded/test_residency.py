"""Adapters that come and go at random: bounded, never taken from who uses them, and nobody's place is lost."""

import asyncio
import contextlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from turkish_ai.engines.adapters import AdapterWeights
from turkish_ai.engines.embedded.residency import AdapterResidency
from turkish_ai.errors import AdapterInUse, AdapterMemoryFull, AdapterNotFound, AdapterRefused
from turkish_ai.messages import AdapterRef
from turkish_ai.metrics import Metrics

LIMIT = 3
NAMES = ("a", "b", "c", "d", "e", "broken")


def ref(name: str) -> AdapterRef:
    return AdapterRef(name=name, sha256=name * 64, path=Path(name))


def read(wanted: AdapterRef) -> AdapterWeights:
    if wanted.name == "broken":
        raise AdapterRefused("broken: it is.")
    return AdapterWeights(ref=wanted, modules={}, rank=4, bytes=100)


_Action = tuple[str, str, int]
actions = st.lists(
    st.tuples(
        st.sampled_from(["use", "use", "use and leave at once", "done", "done", "load", "pin", "unload"]),
        st.sampled_from(NAMES),
        st.integers(0, 3),  # turns of the loop until the next action
    ),
    max_size=40,
)


@given(actions=actions)
def test_no_order_of_arrivals_loads_and_departures_breaks_the_books(actions: list[_Action]) -> None:
    with ThreadPoolExecutor(1) as executor:
        asyncio.run(live(actions, executor))


async def live(actions: list[_Action], executor: ThreadPoolExecutor) -> None:
    metrics = Metrics(sectors=["legal"])
    residency = AdapterResidency(limit=LIMIT, read=read, executor=executor, metrics=metrics)
    users: Counter[str] = Counter()
    tasks: set[asyncio.Task[None]] = set()

    async def use(name: str) -> None:
        with contextlib.suppress(AdapterRefused, AdapterMemoryFull):
            weights = await residency.acquire(ref(name))
            assert weights.ref.name == name
            users[name] += 1

    async def load(name: str, *, pinned: bool) -> None:
        with contextlib.suppress(AdapterRefused, AdapterMemoryFull):
            loaded = await residency.load(ref(name), pinned=pinned)
            assert (loaded.ref.name, loaded.pinned) == (name, pinned)

    def check() -> None:
        resident = {place.ref.name: place for place in residency.list()}
        assert len(resident) <= LIMIT
        assert "broken" not in resident
        assert {name: place.users for name, place in resident.items() if place.users} == +users
        assert metrics.adapter_bytes._value.get() == 100 * len(resident)

    for what, name, turns in actions:
        if what == "done":
            if users[name]:
                users[name] -= 1
                residency.release(ref(name).sha256)
        elif what == "unload":
            try:
                residency.unload(ref(name).sha256)
            except AdapterInUse:
                assert users[name]
            except AdapterNotFound:
                assert name not in {place.ref.name for place in residency.list()}
        else:
            work = use(name) if what.startswith("use") else load(name, pinned=what == "pin")
            task = asyncio.create_task(work)
            tasks.add(task)
            if what == "use and leave at once":
                await asyncio.sleep(0)
                task.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        check()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
    check()
    for name in users:
        for _ in range(users[name]):
            residency.release(ref(name).sha256)
    users.clear()
    check()
