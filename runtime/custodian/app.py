"""The custodian's HTTP face: the edge asks ``/auth``, LiteLLM's hooks write records, the operator reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import asyncpg
import httpx
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from runtime.assertion import Assertion, InvalidAssertionError, verify
from runtime.assertion import key as key_of
from runtime.contract import Budget, Estimate, GuardCategory, PolicyError, Tokens, litellm_name
from runtime.custodian import chain_api, consoles_api, enrolments, enrolments_api, keys_api, ledger, me_api, money_api
from runtime.custodian.answers import answer
from runtime.custodian.database import AWAY, Database
from runtime.custodian.database import Request as Requested
from runtime.custodian.directory import POLL_S, Directory, Keycloak
from runtime.custodian.egress import Egress, EgressError
from runtime.custodian.enrolments import Enrolments
from runtime.custodian.gate import Gate, too_dear
from runtime.custodian.litellm import Accounts
from runtime.custodian.loops import forever
from runtime.custodian.operator import of_operator
from runtime.custodian.owners import Owners
from runtime.custodian.settings import Settings
from runtime.custodian.signing import Signing
from runtime.custodian.subject import UnavailableError
from runtime.custodian.tokens import Keys, Rules, Verifier
from runtime.custodian.traces import new_trace
from runtime.custodian.writer import Writer
from runtime.dialect import UNKNOWN_KEY, Dialect, Refusal, dialect_of
from runtime.wire import ENROLMENT
from runtime.with_secrets import Delivered

Text = Annotated[str, StringConstraints(max_length=200)]
Count = Annotated[int, Field(ge=0, le=2**53)]

REAP_AFTER = timedelta(minutes=15)
REAP_EVERY_S = 60.0
AUTH_PATH = "/auth"
"""Where the edge asks (Traefik's forwardAuth)."""
NOTHING = Estimate(input_tokens=0, output_tokens=0)
LATE_S = 3600
"""An assertion is over after a minute; a record that it stands in may come at the end of a long answer."""


class Verdict(BaseModel):
    """What the guard made of a request: counts by category, so that no content can get into a record."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["clean", "masked", "blocked", "failed"] | None = None
    findings: dict[GuardCategory, Count] = Field(default_factory=dict)


class RecordBody(BaseModel):
    """What the hooks tell of one request; whom it is about, the assertion says and nobody else."""

    model_config = ConfigDict(extra="forbid")

    assertion: str
    dialect: Dialect
    model: Text
    status: int = Field(default=200, ge=100, le=599)
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    guards: Verdict = Verdict()
    reason: Text | None = None
    prompt_digest: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    estimate: Estimate | None = None
    """Of a request that is to be admitted."""
    counting: bool = False
    """Only the size of the request is asked for: it costs nothing."""

    def told(self) -> dict[str, Any]:
        """As JSON-ready values; what the guard did not say is left out."""
        return self.model_dump(mode="json") | {"guards": self.guards.model_dump(exclude_unset=True)}

    def tokens(self) -> Tokens:
        """What it took."""
        return Tokens(
            input=self.input_tokens,
            output=self.output_tokens,
            cache_read=self.cache_read_tokens,
            cache_write=self.cache_write_tokens,
        )


class _AuthFirst:
    """Middleware that answers ``/auth`` from a request's headers, with as little around it as can be: every request to
    a model waits for it."""

    def __init__(self, app: ASGIApp, auth: Callable[[Mapping[str, str]], Awaitable[Response]]) -> None:
        self._app, self._auth = app, auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != AUTH_PATH:
            await self._app(scope, receive, send)
            return
        # Of a header that comes twice the first counts, as it does elsewhere.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        await (await self._auth(headers))(scope, receive, send)


class Custodian:
    """All routes, over one gate and one database."""

    def __init__(self, settings: Settings, gate: Gate, database: Database) -> None:
        self._settings = settings
        self._gate = gate
        self._database = database
        self._egress = gate.egress

    def routes(self) -> list[Route]:
        """Path and method of everything that is served, but for :data:`AUTH_PATH`."""
        return [
            Route("/healthz", self.healthz),
            Route("/errors/{status:int}", self.edge_error),
            Route("/records", of_operator(self._is_operator)(self.list_records)),
            Route("/records/ended", self.ended, methods=["POST"]),
            Route("/records/admitted", self._recorded(self.admitted), methods=["POST"]),
            Route("/records/refused", self._recorded(self.refused), methods=["POST"]),
            Route("/records/settled", self._recorded(self.settled), methods=["POST"]),
            Route("/records/{trace}", of_operator(self._is_operator)(self.one_record)),
            *chain_api.routes(self._database, self._is_operator),
            *keys_api.routes(self._gate, self._is_operator),
            *enrolments_api.routes(self._gate, self._is_operator),
            *consoles_api.routes(self._gate),
            *me_api.routes(self._gate, self._settings.public_url),
            *money_api.routes(self._database, self._is_operator),
        ]

    def _is_operator(self, request: Request) -> bool:
        return _holds(request, self._settings.admin_token)

    async def auth(self, headers: Mapping[str, str]) -> Response:
        """Traefik's forwardAuth: 200 with the headers to put on the request, or the refusal for the caller."""
        trace, dialect = new_trace(), dialect_of(headers.get("x-forwarded-uri", ""))
        decided = await self._gate.pass_on(headers, trace, dialect)
        if isinstance(decided, Refusal):
            return answer(decided, dialect, trace)
        return Response(headers=decided)

    async def healthz(self, request: Request) -> Response:
        """200 when tokens can be verified and records be written."""
        try:
            await self._database.ping()
            await self._gate.verifier.ready()
        except (*AWAY, UnavailableError) as error:
            return JSONResponse({"ready": False, "why": type(error).__name__}, status_code=503)
        return JSONResponse({"ready": True})

    async def edge_error(self, request: Request) -> Response:
        """What the edge says when it cannot reach what is behind it."""
        refusal = Refusal(status=503, code="unavailable", message="the gateway is starting or a part of it is away")
        return answer(refusal, dialect_of(_path(request.query_params.get("url", ""))), new_trace())

    async def not_listed(self, request: Request, _: Exception) -> Response:
        """404 for every route that is not on the edge's list (it asks for ``/refuse``), whatever the method."""
        path = request.headers.get("x-replaced-path", "")
        refusal = Refusal(status=404, code="not_found", message="the gateway does not serve this path with this method")
        return answer(refusal, dialect_of(path), new_trace())

    async def failed(self, request: Request, _: Exception) -> Response:
        """Whatever else went wrong: refused, in the caller's dialect and without a detail."""
        refusal = Refusal(status=503, code="unavailable", message="cannot be decided now")
        return answer(refusal, dialect_of(request.headers.get("x-forwarded-uri", "")), new_trace())

    async def admitted(self, body: RecordBody) -> Response:
        """A request is about to go out; without this record it does not."""
        price = self._settings.policies.models.get(body.model)
        if price is None:
            # No policy can have allowed it, and what has no price would be free.
            return JSONResponse({"error": "not a record: model"}, status_code=400)
        if body.estimate is None:
            return JSONResponse({"error": "not a record: estimate"}, status_code=400)
        about = self._about(body)
        try:
            payer = self._egress.check(about.trace, body.model)
            if payer == "company" and about.credential == ENROLMENT:
                text = f"model '{body.model}' is paid for by the company: an enrolment is no credential for it"
                raise EgressError("enrolment_not_enough", text)
            policy = self._gate.policy(about)
        except (EgressError, PolicyError) as error:
            code = error.code if isinstance(error, EgressError) else "permission_denied"
            return _not_admitted(Refusal(status=403, code=code, message=str(error)))
        estimate = NOTHING if body.counting else body.estimate
        claim = ledger.claim(price, estimate, policy.budget)
        request = Requested(
            dialect=body.dialect.value,
            model=body.model,
            prompt_digest=body.prompt_digest,
            claim=claim if payer == "company" else None,
        )
        over = await self._database.admit(about, request)
        if over is not None:
            return _not_admitted(too_dear(over, claim.usd))
        # Only now, and only once for a trace: what is not on record gets no key.
        return JSONResponse({"ticket": self._egress.admit(about.trace, body.model, payer, counting=body.counting)})

    async def refused(self, body: RecordBody) -> Response:
        """A guard or a limit refused a request before it went out."""
        about = self._about(body)
        self._egress.end(about.trace)
        await self._database.refuse(about, body.told())
        self._egress.forget(about.trace)
        return JSONResponse({})

    async def settled(self, body: RecordBody) -> Response:
        """An admitted request has ended; its cost is counted here, by our own prices."""
        about = self._about(body, LATE_S)
        out = self._egress.end(about.trace)
        price = self._settings.policies.models.get(body.model)
        cost = Decimal(0) if price is None else price.cost(body.tokens())
        if body.reason == UNKNOWN_KEY:
            self._gate.accounts.forget(litellm_name(about.sub, about.actor))
        # Counted at the egress, not by LiteLLM's process: what was really asked of the provider for this record.
        told = body.told() | {"provider_calls": 0 if out is None else out.calls}
        counted = await self._database.settle(about.trace, told, cost, self._budget(about))
        self._egress.forget(about.trace)
        return JSONResponse({"cost_usd": str(cost), "counted": counted})

    async def ended(self, request: Request) -> Response:
        """For the hooks: whose access has ended, so that no answer goes on to them."""
        if not _holds(request, self._settings.record_token):
            return JSONResponse({"error": "not allowed"}, status_code=401)
        return JSONResponse({"subjects": self._gate.directory.out()})

    def _budget(self, about: Assertion) -> Budget | None:
        try:
            return self._gate.policy(about).budget
        except PolicyError:
            return None  # the stack file has changed since the request went out

    def _recorded(
        self, handle: Callable[[RecordBody], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            if not _holds(request, self._settings.record_token):
                return JSONResponse({"error": "not allowed"}, status_code=401)
            try:
                return await handle(RecordBody.model_validate_json(await request.body()))
            except ValidationError as error:
                fields = [".".join(map(str, each["loc"])) for each in error.errors()]
                return JSONResponse({"error": f"not a record: {', '.join(fields)}"}, status_code=400)
            except InvalidAssertionError as error:
                return JSONResponse({"error": str(error)}, status_code=403)
            except asyncpg.UniqueViolationError:
                return JSONResponse({"error": "this trace is recorded already"}, status_code=409)
            except AWAY:
                return JSONResponse({"error": "the records cannot be written now"}, status_code=503)

        return endpoint

    def _about(self, body: RecordBody, late_s: int = 0) -> Assertion:
        """Whom a record is about; ``late_s``: how long after its end an assertion is good for it."""
        signing = self._settings.assertion_key
        keys = map(key_of, signing.accepted(late_s) if late_s else signing.accepted())
        return verify(body.assertion, *keys, leeway_s=late_s or 5)

    async def list_records(self, request: Request) -> Response:
        """The newest records, for the operator."""
        try:
            limit = min(max(int(request.query_params.get("limit", "20")), 1), 1000)
        except ValueError:
            return JSONResponse({"error": "limit must be a number"}, status_code=400)
        return JSONResponse({"records": await self._database.records(limit)})

    async def one_record(self, request: Request) -> Response:
        """One record, for the operator."""
        record = await self._database.record(request.path_params["trace"])
        return JSONResponse(record) if record is not None else JSONResponse({"error": "no such record"}, 404)


def _not_admitted(refusal: Refusal) -> JSONResponse:
    """For the hooks, which say it to the caller."""
    told = {"code": refusal.code, "message": refusal.message, "status": refusal.status, "retry": refusal.retry}
    return JSONResponse(told, status_code=422)


def _holds(request: Request, token: Delivered) -> bool:
    return token.matches(request.headers.get("authorization", "").removeprefix("Bearer "))


def _path(url: str) -> str:
    return httpx.URL(url).path if "://" in url else url


def build(settings: Settings, egress: Egress) -> Starlette:
    """The application; it connects when it starts. ``egress`` decides elsewhere about what is admitted here."""
    http = httpx.AsyncClient(trust_env=False)
    writer = Writer(settings.chain_key, settings.retired_chain_key)
    database = Database(settings.database, writer, enrolments.SCHEMA)
    rules = Rules(
        issuer=settings.issuer,
        audience=settings.audience,
        demo_client=settings.demo_client,
        auditor_role=settings.auditor_role,
    )
    keycloak = Keycloak(settings.realm_url, settings.client, settings.client_secret, http)

    async def note(sub: str, why_not: str) -> None:
        try:
            await database.note_access(sub, why_not)
        except AWAY:
            raise UnavailableError("the chain cannot be written now") from None

    directory = Directory(keycloak, note)
    gate = Gate(
        policies=settings.policies,
        verifier=Verifier(rules, Keys(f"{settings.realm_url}/protocol/openid-connect/certs", http), settings.policies),
        database=database,
        accounts=Accounts(http, settings.litellm_url, settings.master_key, settings.subject_seed),
        signing=Signing(settings.assertion_key),
        egress=egress,
        directory=directory,
        enrolments=Enrolments(database, Owners(egress, http, settings.egress_url)),
    )

    async def reap() -> None:
        await database.reap(REAP_AFTER)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await database.open()
        loops = (forever(reap, REAP_EVERY_S, AWAY), forever(directory.look, POLL_S, (UnavailableError,)))
        tasks = [asyncio.create_task(loop) for loop in loops]
        yield
        for task in tasks:
            task.cancel()
        await database.close()
        await http.aclose()

    custodian = Custodian(settings, gate, database)
    handlers = {HTTPException: custodian.not_listed, Exception: custodian.failed}
    first = [Middleware(_AuthFirst, auth=custodian.auth)]
    return Starlette(routes=custodian.routes(), lifespan=lifespan, middleware=first, exception_handlers=handlers)
