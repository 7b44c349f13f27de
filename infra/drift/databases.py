"""The look at PostgreSQL: roles, what they may, and whose each database is; read by psql in its own container."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import docker
from docker.errors import DockerException

from infra.drift.asking import ask
from infra.drift.compare import Veil
from infra.drift.findings import Finding, Kind, Seen, Unseen

OWNER = "postgres"
"""The one superuser; it comes in by the socket inside the container alone."""
PSQL = ("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-U", OWNER, "-d", "postgres")
RIGHTS = ("superuser", "createdb", "createrole", "replication", "bypassrls")
SYSTEM = frozenset({"postgres", "template0", "template1"})
QUERY = """
SELECT json_build_object(
  'roles', (SELECT json_agg(json_build_object('name', rolname, 'login', rolcanlogin, 'superuser', rolsuper,
      'createdb', rolcreatedb, 'createrole', rolcreaterole, 'replication', rolreplication, 'bypassrls', rolbypassrls,
      'password', rolpassword, 'member_of', (SELECT coalesce(json_agg(g.rolname ORDER BY g.rolname), '[]')
        FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = a.oid)))
    FROM pg_authid a WHERE rolname !~ '^pg_'),
  'databases', (SELECT json_agg(json_build_object('name', datname, 'owner', pg_get_userbyid(datdba),
      'grants', (SELECT coalesce(json_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'public'
          ELSE pg_get_userbyid(x.grantee) END), '[]')
        FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) x WHERE x.grantee <> datdba)))
    FROM pg_database))
"""
"""What there is, as one JSON document. Passwords are verifiers (SCRAM), never the passwords themselves."""


@dataclass(frozen=True)
class Judge:
    """Compares; looks at nothing. ``passwords``: role -> the password that the store has for it."""

    stack: str
    declared: Sequence[str]
    veil: Veil
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)

    def judged(self, found: Mapping[str, Any]) -> Iterator[Finding]:
        """Findings of roles and databases."""
        roles = {one["name"]: one for one in found["roles"] or []}
        databases = {one["name"]: one for one in found["databases"] or []}
        for name in self.declared:
            yield from self._role(name, roles.get(name))
            yield from self._database(name, databases.get(name))
        for name in sorted(roles.keys() - set(self.declared) - {OWNER}):
            yield from self._stranger(roles[name])
        for name in sorted(databases.keys() - set(self.declared) - SYSTEM):
            repair = "by hand: it may hold data (docker exec, then dropdb)"
            owner = str(databases[name]["owner"])
            yield self._finding(f"database/{name}", "state", Kind.FOREIGN, None, f"owned by {owner}", repair)

    def _role(self, name: str, role: Mapping[str, Any] | None) -> Iterator[Finding]:
        resource = f"database-role/{name}"
        if role is None:
            yield self._finding(resource, "state", Kind.MISSING, "present", "missing")
            return
        if not role["login"]:
            yield self._finding(resource, "login", Kind.CHANGED, "true", "false")
        for right in RIGHTS:
            if role[right]:
                yield self._finding(resource, right, Kind.CHANGED, "false", "true")
        for group in role["member_of"]:
            yield self._finding(resource, f"member_of.{group}", Kind.FOREIGN, None, "member")
        password = self.passwords.get(name)
        if password is not None and not verifies(role["password"], password):
            live = self.veil.digest(role["password"]) if role["password"] else "none"
            yield self._finding(resource, "password", Kind.CHANGED, self.veil.digest(password), live)

    def _database(self, name: str, database: Mapping[str, Any] | None) -> Iterator[Finding]:
        resource = f"database/{name}"
        if database is None:
            yield self._finding(resource, "state", Kind.MISSING, "present", "missing")
            return
        if database["owner"] != name:
            yield self._finding(resource, "owner", Kind.CHANGED, name, str(database["owner"]))
        for grantee in database["grants"]:
            if grantee not in (name, OWNER):
                yield self._finding(resource, f"grants.{grantee}", Kind.FOREIGN, None, "may use it")

    def _stranger(self, role: Mapping[str, Any]) -> Iterator[Finding]:
        may = [right for right in ("login", "superuser") if role[right]]
        if may:
            yield self._finding(f"database-role/{role['name']}", "state", Kind.FOREIGN, None, f"may: {', '.join(may)}")

    def _finding(
        self, resource: str, path: str, kind: Kind, declared: str | None, live: str | None, repair: str = ""
    ) -> Finding:
        return Finding(
            resource=resource,
            path=path,
            kind=kind,
            declared=declared,
            live=live,
            repair=repair or f"./praxis up {self.stack}",
        )


def verifies(verifier: str | None, password: str) -> bool:
    """Whether ``password`` is the one that a SCRAM-SHA-256 verifier (RFC 5803) was made of."""
    try:
        scheme, middle, keys = (verifier or "").split("$")
        rounds, salt = middle.split(":")
        stored = base64.b64decode(keys.split(":")[0])
    except ValueError:
        return False
    if scheme != "SCRAM-SHA-256":
        return False
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(rounds))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), stored)


def make_as_declared(client: docker.DockerClient, container: str, name: str) -> None:
    """Role, password and database of ``name``, by the same script as at the server's own start.

    The server reads the password from its own file in memory: it is in no argument list.

    Raises:
        DockerException: there is no such container, or it does not run.
        ValueError: psql says no; with its words.
    """
    sets = [f"--set=name={name}", f"--set=file=/run/secrets/{name}-db-password"]
    _run(client, container, [*sets, "--file=/opt/praxis/roles.sql"])


def execute(client: docker.DockerClient, container: str, statement: str) -> None:
    """Have the server do what ``statement`` says, as the superuser, who comes in by the socket.

    Raises:
        DockerException: there is no such container, or it does not run.
        ValueError: psql says no; with its words.
    """
    _run(client, container, ["-c", statement])


def _run(client: docker.DockerClient, container: str, arguments: list[str]) -> None:
    code, output = client.containers.get(container).exec_run([*PSQL, *arguments])
    if code != 0:
        raise ValueError(_words(output if isinstance(output, bytes) else b"", code))


def _words(said: bytes, code: int | None) -> str:
    return said.decode(errors="replace").strip() or f"psql ended with exit code {code}"


def look(client: docker.DockerClient, judge: Judge) -> Seen:
    """Roles and databases of the stack's server."""
    try:
        answer = ask(client.containers.get(f"praxis-{judge.stack}-postgres"), [*PSQL, "-c", QUERY])
        if answer.code != 0:
            raise ValueError(_words(answer.complaint or answer.said, answer.code))
        found = json.loads(answer.said)
    except (DockerException, ValueError) as error:
        return Seen(unseen=(Unseen(what="database: roles and grants", why=" ".join(str(error).split())[:300]),))
    return Seen(findings=tuple(judge.judged(found)))
