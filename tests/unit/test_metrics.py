"""The series and their labels."""

import re

from turkish_ai.metrics import Metrics

METRICS = Metrics(sectors=["legal"], routes=["/infer"])


def test_an_unknown_label_becomes_other() -> None:
    assert METRICS.sector("legal") == "legal"
    assert METRICS.sector("general") == "general"
    assert METRICS.sector("x" * 1000) == "other"
    assert METRICS.route("/../../etc") == "other"
    METRICS.know_routes(["/classify"])
    assert METRICS.route("/classify") == "/classify"


def test_every_series_has_our_prefix_a_unit_and_total_on_counters_alone() -> None:
    for family in METRICS.registry.collect():
        assert family.name.startswith("turkish_ai_")
        assert family.documentation
        if family.type != "counter":
            assert not family.name.endswith("_total")
        if family.type == "histogram":
            assert re.search(r"_(seconds|ratio|rows)$", family.name), family.name
        if "bytes" in family.documentation.lower() or "memory" in family.documentation.lower():
            assert re.search(r"bytes|adapter", family.name), family.name
