"""What LiteLLM asks of the database, in the text that Prisma's Python client renders."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from tests.unit.engine_standin.harness import Database, Engine, PrismaError

KEY = "token spend models metadata aliases blocked expires budget_id"


def create(token: str, data: str = "", selection: str = KEY) -> str:
    """The document that creates a key."""
    return (
        "mutation { result: createOneLiteLLM_VerificationToken "
        f'( data: {{ token: "{token}" {data} }} ) {{ {selection} }} }}'
    )


def find(token: str, selection: str = KEY) -> str:
    """The document that reads a key."""
    where = f'( where: {{ token: "{token}" }} )'
    return f"query {{ result: findUniqueLiteLLM_VerificationToken {where} {{ {selection} }} }}"


def spend(token: str, amount: float) -> str:
    """The document that adds to a key's spend."""
    return (
        "mutation { result: updateOneLiteLLM_VerificationToken "
        f'( data: {{ spend: {{ increment: {amount} }} }} where: {{ token: "{token}" }} ) {{ spend }} }}'
    )


def test_key_is_kept_as_given(engine: Engine) -> None:
    text = json.dumps(json.dumps({"a": ['é"\\\n', 1.5, None, {"b": []}]}))
    data = f'models: ["m", "n"] metadata: {text} expires: "2030-01-02T03:04:05.678000+00:00" blocked: false spend: 2'
    made = engine.query(create("t", data))
    assert made == engine.query(find("t"))
    assert made["models"] == ["m", "n"]
    assert made["expires"].startswith("2030-01-02T03:04:05.678")
    assert made["blocked"] is False
    assert made["spend"] == 2
    assert made["aliases"] is None
    assert json.loads(made["metadata"]) == {"a": ['é"\\\n', 1.5, None, {"b": []}]}


def test_json_is_stored_as_json_and_not_as_its_text(engine: Engine, database: Database) -> None:
    engine.query(create("t", r'metadata: "{\"k\": {\"n\": 1}}" aliases: "\"plain\""'))
    assert (
        database.sql("""SELECT metadata->'k'->>'n', aliases #>> '{}' FROM "LiteLLM_VerificationToken" """) == "1|plain"
    )


def test_json_filter(engine: Engine) -> None:
    engine.query(create("t", r'metadata: "{\"team\": \"a\"}"'))
    engine.query(create("u", r'metadata: "{\"team\": \"b\"}"'))
    where = r'where: { AND: [{ metadata: { path: ["team"], equals: "\"b\"" } }] }'
    found = engine.query(f"query {{ result: findManyLiteLLM_VerificationToken ( {where} ) {{ token }} }}")
    assert found == [{"token": "u"}]


def test_json_across_relations(engine: Engine, database: Database) -> None:
    budget = r'budget: { create: { budget_id: "b" model_max_budget: "{\"m\": 3}" tpm_limit: 1152921504606846976 } }'
    engine.query(create("t", budget))
    assert database.sql("""SELECT model_max_budget->>'m' FROM "LiteLLM_BudgetTable" """) == "3"
    change = r'budget: { update: { model_max_budget: "{\"m\": 4}" } }'
    engine.query(
        f'mutation {{ result: updateOneLiteLLM_VerificationToken ( where: {{ token: "t" }} data: {{ {change} }} )'
        " { token } }"
    )
    found = engine.query(find("t", "token budget { model_max_budget tpm_limit allowed_models }"))
    assert json.loads(found["budget"]["model_max_budget"]) == {"m": 4}
    assert int(found["budget"]["tpm_limit"]) == 1152921504606846976
    assert found["budget"]["allowed_models"] == []
    keys = r'keys(where: { metadata: { equals: "{}" } }) { token metadata }'
    back = engine.query(
        f'query {{ result: findFirstLiteLLM_BudgetTable ( where: {{ budget_id: "b" }} ) {{ {keys} }} }}'
    )
    assert back == {"keys": [{"token": "t", "metadata": "{}"}]}


def test_upsert_many_count_and_groups(engine: Engine) -> None:
    for _ in range(2):
        engine.query(
            'mutation { result: upsertOneLiteLLM_VerificationToken ( where: { token: "t" } create: { token: "t" }'
            " update: { spend: { increment: 0.5 } } ) { spend } }"
        )
    made = engine.query(
        'mutation { result: createManyLiteLLM_VerificationToken ( data: [{ token: "t" }, { token: "u" }]'
        " skipDuplicates: true ) { count } }"
    )
    assert made == {"count": 1}
    counted = engine.query("query { result: aggregateLiteLLM_VerificationToken { _count { _all } } }")
    assert counted == {"_count": {"_all": 2}}
    groups = engine.query(
        "query { result: groupByLiteLLM_VerificationToken ( by: [blocked] )"
        " { blocked _sum { spend } _count { _all } } }"
    )
    assert groups == [{"blocked": None, "_sum": {"spend": 0.5}, "_count": {"_all": 2}}]
    gone = engine.query(
        'mutation { result: deleteManyLiteLLM_VerificationToken ( where: { token: { in: ["t", "x"] } } ) { count } }'
    )
    assert gone == {"count": 1}


def test_raw_query_with_types_the_adapter_refuses(engine: Engine) -> None:
    engine.query(create("t", 'models: ["m"]'))
    answer = engine.raw(
        "SELECT token, models, metadata, current_user AS \"user\", ARRAY['a'::name, 'b'] AS names, 7::bigint AS big,"
        " interval '1 day' AS wait FROM \"LiteLLM_VerificationToken\" WHERE token = $1",
        "t",
    )
    row = dict(zip(answer["columns"], answer["rows"][0], strict=True))
    assert row["models"] == ["m"]
    assert row["metadata"] == {}
    assert row["user"] == "litellm"
    assert row["names"] == ["a", "b"]
    assert int(row["big"]) == 7
    assert row["wait"] == "1 day"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (create("t"), "P2002"),
        (create("u", 'budget_id: "none"'), "P2003"),
        ('mutation { result: queryRaw ( query: "SELECT * FROM nope" parameters: "[]" ) }', "P2010"),
        (
            'query { result: findUniqueLiteLLM_VerificationTokenOrThrow ( where: { token: "x" } ) { token } }',
            "P2025",
        ),
        ("query { result: findManyLiteLLM_VerificationToken { nothing } }", "P2009"),
        ("query { result: findManyUnknown { id } }", "P2009"),
        ("this is not GraphQL", "P2009"),
    ],
)
def test_refusals_carry_the_codes_of_prisma(engine: Engine, text: str, code: str) -> None:
    engine.query(create("t"))
    with pytest.raises(PrismaError) as refused:
        engine.query(text)
    assert refused.value.code == code
    assert refused.value.message
    assert isinstance(refused.value.meta, dict)


def test_batch_is_one_transaction(engine: Engine) -> None:
    engine.query(create("t"))
    good = {"batch": [{"query": spend("t", 1), "variables": {}}] * 2, "transaction": True}
    assert [each["data"]["result"]["spend"] for each in engine.post("/", good)["batchResult"]] == [1, 2]
    bad = {"batch": [{"query": spend("t", 1)}, {"query": create("t")}], "transaction": True}
    with pytest.raises(PrismaError) as refused:
        engine.post("/", bad)
    assert refused.value.code == "P2002"
    assert engine.query(find("t", "spend")) == {"spend": 2}


def test_transaction_commits_and_rolls_back(engine: Engine) -> None:
    for verb, expected in (("commit", {"token": "commit"}), ("rollback", None)):
        transaction = engine.post("/transaction/start", {"timeout": 5000, "max_wait": 2000})["id"]
        engine.query(create(verb), transaction)
        assert engine.query(find(verb, "token")) is None
        assert engine.query(find(verb, "token"), transaction) == {"token": verb}
        engine.post(f"/transaction/{transaction}/{verb}")
        assert engine.query(find(verb, "token")) == expected


@pytest.mark.parametrize(("options", "code"), [({"isolation_level": "none"}, "P2023"), ({"timeout": "none"}, None)])
def test_transaction_that_cannot_start_is_an_error(engine: Engine, options: dict[str, str], code: str | None) -> None:
    with pytest.raises(PrismaError) as refused:
        engine.post("/transaction/start", options)
    assert refused.value.code == code
    assert refused.value.message


def test_transaction_expires_and_gives_its_connection_back(engine: Engine, database: Database) -> None:
    transaction = engine.post("/transaction/start", {"timeout": 100, "max_wait": 2000})["id"]
    engine.query(create("t"), transaction)
    with pytest.raises(PrismaError) as refused:
        engine.raw("SELECT pg_sleep(0.3)::text") and engine.query(find("t"), transaction)
    assert refused.value.code == "P2028"
    assert engine.query(find("t")) is None
    assert database.sql("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'") == "0"


def test_four_clients_at_once_lose_nothing(engine: Engine) -> None:
    engine.query(create("shared"))

    def client(number: int) -> None:
        for turn in range(50):
            token = f"{number}-{turn}"
            engine.query(create(token, f'models: ["{token}"]'))
            assert engine.query(find(token))["models"] == [token]
            engine.query(spend("shared", 0.25))

    with ThreadPoolExecutor(4) as clients:
        list(clients.map(client, range(4)))
    assert engine.query(find("shared", "spend")) == {"spend": 50}


def run_queries(engine: Engine, number: int) -> None:
    """A mix of LiteLLM's daily work, a seventh of it refused."""
    for turn in range(number // 7):
        token = uuid4().hex
        engine.query(create(token, r'models: ["m"] metadata: "{\"a\": 1}"'))
        engine.query(find(token))
        engine.query(spend(token, 0.1))
        engine.raw("SELECT $1::int AS turn", turn)
        engine.query("query { result: aggregateLiteLLM_VerificationToken { _count { _all } } }")
        with pytest.raises(PrismaError):
            engine.query(create(token))
        engine.query(
            f'mutation {{ result: deleteOneLiteLLM_VerificationToken ( where: {{ token: "{token}" }} ) {{ token }} }}'
        )


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", [3_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_memory_is_flat(engine: Engine, number: int) -> None:
    run_queries(engine, 1_500)
    before = engine.rss_mib()
    run_queries(engine, number)
    after = engine.rss_mib()
    assert after - before < 24, f"{before:.0f} MiB before, {after:.0f} MiB after {number} queries"
    assert after < 192
