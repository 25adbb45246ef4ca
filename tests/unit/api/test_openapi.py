"""/openapi.json: complete, and true of what the routes really answer."""

from typing import Any

import httpx
import jsonschema
import pytest

from tests.fakes.engine import FakeEngine
from tests.unit.api.conftest import ADMIN, QUESTION, chat

NOT_DESCRIBED = {"/", "/docs", "/web/{name}", "/openapi.json"}


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/openapi.json")).json()
    return found


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(references(item) for item in value))
    return set()


def check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def answer_schema(document: dict[str, Any], path: str, method: str, status: int) -> dict[str, Any]:
    content = document["paths"][path][method]["responses"][str(status)]["content"]
    schema: dict[str, Any] = content["application/json"]["schema"]
    return schema


async def test_every_route_is_described(client: httpx.AsyncClient, document: dict[str, Any]) -> None:
    metrics = (await client.get("/metrics")).text  # asks each known route once below
    assert metrics
    assert set(document["paths"]) == {
        "/v1/chat/completions",
        "/v1/models",
        "/v1/models/{model_id}",
        "/infer",
        "/classify",
        "/sectors",
        "/adapters",
        "/adapters/{sector}",
        "/health",
        "/ready",
        "/metrics",
    }
    for operations in document["paths"].values():
        assert all(operation["summary"] and operation["tags"] for operation in operations.values())


async def test_the_routes_that_change_something_ask_for_the_admin_key(document: dict[str, Any]) -> None:
    guarded = {
        (path, method)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation.get("security") == [{"AdminKey": []}]
    }
    assert guarded == {("/adapters", "post"), ("/adapters/{sector}", "delete")}
    assert "admin_key" in document["components"]["securitySchemes"]["AdminKey"]["description"]


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= known


async def test_a_request_body_is_described_field_by_field_with_its_ranges(document: dict[str, Any]) -> None:
    body = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/ChatCompletionRequest"}
    schema = document["components"]["schemas"]["ChatCompletionRequest"]
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["model", "messages"]
    assert {"maximum": 2.0, "minimum": 0.0, "type": "number"} in schema["properties"]["temperature"]["anyOf"]


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        (chat(), True),
        (chat(temperature=1, stop=["a"], stream=True, n=2), True),
        (chat(messages=[{"role": "user", "content": [{"type": "text", "text": "x"}]}]), True),
        (chat(temperature=3), False),
        (chat(temprature=1), False),
        (chat(stop=5), False),
        (chat(messages=[{"role": "pirate", "content": "x"}]), False),
    ],
)
async def test_the_described_body_is_the_one_that_is_taken(
    client: httpx.AsyncClient, document: dict[str, Any], body: dict[str, Any], fits: bool
) -> None:
    schema = {"$ref": "#/components/schemas/ChatCompletionRequest"}
    status = (await client.post("/v1/chat/completions", json=body)).status_code
    assert (status == 200) is fits
    if fits:
        check(document, schema, body)
    else:
        with pytest.raises(jsonschema.ValidationError):
            check(document, schema, body)


async def test_real_answers_are_as_described(
    client: httpx.AsyncClient, document: dict[str, Any], engine: FakeEngine
) -> None:
    fallback = [{"role": "user", "content": "dava"}]
    calls: list[tuple[str, str, str, Any, int]] = [
        ("post", "/v1/chat/completions", "/v1/chat/completions", chat(), 200),
        ("post", "/v1/chat/completions", "/v1/chat/completions", chat(messages=fallback, logprobs=True), 200),
        ("post", "/v1/chat/completions", "/v1/chat/completions", chat(model="x"), 404),
        ("post", "/v1/chat/completions", "/v1/chat/completions", chat(n=99), 422),
        ("get", "/v1/models", "/v1/models", None, 200),
        ("get", "/v1/models/auto", "/v1/models/{model_id}", None, 200),
        ("post", "/infer", "/infer", {"text": QUESTION[0]["content"]}, 200),
        ("post", "/classify", "/classify", {"text": "dava"}, 200),
        ("post", "/classify", "/classify", {"text": "dava", "evidence": True}, 200),
        ("get", "/sectors", "/sectors", None, 200),
        ("get", "/adapters", "/adapters", None, 200),
        ("post", "/adapters", "/adapters", {"sector": "finance_banking"}, 200),
        ("delete", "/adapters/finance_banking", "/adapters/{sector}", None, 200),
        ("get", "/health", "/health", None, 200),
        ("get", "/ready", "/ready", None, 200),
    ]
    for method, path, route, body, status in calls:
        response = await client.request(method, path, json=body, headers=ADMIN)
        assert response.status_code == status, (path, response.text)
        schema = answer_schema(document, route, method, status)
        check(document, schema, response.json())
        if status == 200:  # nor does an answer hold what is not described
            assert_nothing_more(document, schema, response.json())


def assert_nothing_more(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if isinstance(value, list):
        for item in value:
            assert_nothing_more(document, schema.get("items", {}), item)
    if isinstance(value, dict) and "properties" in schema:
        assert set(value) <= set(schema["properties"])
        for name, item in value.items():
            assert_nothing_more(document, schema["properties"][name], item)
