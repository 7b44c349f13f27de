"""Flows of a sign-in: what is asked for, in which order, under which condition; and which of them a realm uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from infra.plugins.standins.keycloak.table import Field, TableType, plainly, segment
from infra.plugins.standins.kinds import Call, GoneError
from infra.plugins.standins.values import Plain, known

REQUIREMENTS = ("REQUIRED", "ALTERNATIVE", "OPTIONAL", "CONDITIONAL", "DISABLED")
"""As the official plugin takes them; Keycloak itself knows no ``OPTIONAL`` any more."""
BUILT_IN: Mapping[str, str] = {
    "browserFlow": "browser",
    "clientAuthenticationFlow": "clients",
    "directGrantFlow": "direct grant",
    "dockerAuthenticationFlow": "docker auth",
    "firstBrokerLoginFlow": "first broker login",
    "registrationFlow": "registration",
    "resetCredentialsFlow": "reset credentials",
}
"""What a realm uses a flow for, and the flow that it has for that by itself."""


def _authentication(values: Plain) -> str:
    return f"/{values['realmId']}/authentication"


class FlowType(TableType):
    """``keycloak:authentication/flow:Flow``, at the top; its id is Keycloak's, other objects name it by its alias."""

    token = "keycloak:authentication/flow:Flow"  # noqa: S105 - a type token
    kinds: ClassVar[tuple[str, ...]] = ("basic-flow", "client-flow")
    """Values of ``providerId``."""
    fields: ClassVar[Mapping[str, Field]] = {
        "alias": plainly("alias"),
        "description": plainly("description"),
        "providerId": plainly("providerId"),
    }
    constant = {"topLevel": True, "builtIn": False}
    supported = frozenset({*fields, "realmId"})
    defaults: ClassVar[Mapping[str, Any]] = {"providerId": "basic-flow"}

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        if "alias" not in inputs:
            yield "alias", "is required"
        if known(inputs.get("providerId"), self.kinds[0]) not in self.kinds:
            yield "providerId", f"must be one of {', '.join(self.kinds)}"

    def collection(self, values: Plain) -> str:
        return f"{_authentication(values)}/flows"

    def find(self, inputs: Plain, call: Call) -> str | None:
        found = self.admin.get(self.collection(inputs), call)
        return next((str(flow["id"]) for flow in found if flow["alias"] == inputs["alias"]), None)


class ExecutionType(TableType):
    """``keycloak:authentication/execution:Execution``: one step of a flow; its id is Keycloak's.

    Its place among the others is its ``priority``, which is 0 unless given, as upstream.
    """

    token = "keycloak:authentication/execution:Execution"  # noqa: S105 - a type token
    fields: ClassVar[Mapping[str, Field]] = {
        "authenticator": plainly("authenticator"),
        "priority": Field("priority", empty=0),
        "requirement": plainly("requirement"),
    }
    supported: ClassVar[frozenset[str]] = frozenset({*fields, "parentFlowAlias", "realmId"})
    defaults: ClassVar[Mapping[str, Any]] = {"requirement": "DISABLED"}
    place = ("realmId", "parentFlowAlias")
    import_form = "REALM/PARENT_FLOW_ALIAS/ID"

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        if known(inputs.get("requirement"), "DISABLED") not in REQUIREMENTS:
            yield "requirement", f"must be one of {', '.join(REQUIREMENTS)}"

    def steps(self, values: Plain) -> str:
        """Path of the steps of the flow that this belongs to."""
        return f"{_authentication(values)}/flows/{segment(values['parentFlowAlias'])}/executions"

    def collection(self, values: Plain) -> str:
        return f"{self.steps(values)}/execution"

    def item(self, resource_id: str, values: Plain) -> str:
        return f"{_authentication(values)}/executions/{resource_id}"

    def find(self, inputs: Plain, call: Call) -> str | None:
        return None  # a flow may have the same step twice

    def body(self, inputs: Plain) -> dict[str, Any]:
        """A new step: what it does alone; requirement and priority are set when it is there."""
        return {"provider": inputs["authenticator"]}

    def execution(self, resource_id: str, values: Plain, call: Call) -> str:
        """The id of the step itself."""
        return resource_id

    def finish(self, resource_id: str, inputs: Plain, call: Call) -> None:
        body = {
            "id": self.execution(resource_id, inputs, call),
            "requirement": inputs["requirement"],
            "priority": inputs.get("priority", 0),
        }
        self.admin.put(self.steps(inputs), body, call)

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        self.finish(resource_id, new, call)
        return self._live(resource_id, new, call)


class SubflowType(ExecutionType):
    """``keycloak:authentication/subflow:Subflow``: a flow that is a step of another; its id is the flow's."""

    token = "keycloak:authentication/subflow:Subflow"  # noqa: S105 - a type token
    kinds: ClassVar[tuple[str, ...]] = ("basic-flow", "form-flow", "client-flow")
    """Values of ``providerId``."""
    fields: ClassVar[Mapping[str, Field]] = {**ExecutionType.fields, **FlowType.fields}
    supported = frozenset({*fields, "parentFlowAlias", "realmId"})
    defaults: ClassVar[Mapping[str, Any]] = {"providerId": "basic-flow", "requirement": "DISABLED"}

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        yield from super().problems(inputs)
        if "alias" not in inputs:
            yield "alias", "is required"
        if known(inputs.get("providerId"), self.kinds[0]) not in self.kinds:
            yield "providerId", f"must be one of {', '.join(self.kinds)}"

    def collection(self, values: Plain) -> str:
        return f"{self.steps(values)}/flow"

    def item(self, resource_id: str, values: Plain) -> str:
        return f"{_authentication(values)}/flows/{resource_id}"

    def find(self, inputs: Plain, call: Call) -> str | None:
        found = self.admin.get(self.steps(inputs), call)
        return next((str(one["flowId"]) for one in found if one.get("displayName") == inputs["alias"]), None)

    def body(self, inputs: Plain) -> dict[str, Any]:
        body = {"alias": inputs["alias"], "type": inputs["providerId"], "description": inputs.get("description", "")}
        return {**body, "provider": inputs["authenticator"]} if inputs.get("authenticator") else body

    def execution(self, resource_id: str, values: Plain, call: Call) -> str:
        for step in self.admin.get(self.steps(values), call):
            if step.get("flowId") == resource_id:
                return str(step["id"])
        raise GoneError(f"flow '{values['parentFlowAlias']}' has no subflow {resource_id}")

    def outputs(self, resource_id: str, values: Plain, call: Call) -> Plain:
        step = self.admin.get(super().item(self.execution(resource_id, values, call), values), call)
        return ExecutionType.state(self, {name: step.get(name) for name in ExecutionType.fields}, values)

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        path = self.item(resource_id, new)
        own = {"alias": new["alias"], "providerId": new["providerId"], "description": new.get("description", "")}
        self.admin.put(path, {**self.admin.get(path, call), **own}, call)
        return super().update(resource_id, old, new, call)

    def delete(self, resource_id: str, state: Plain, call: Call) -> None:
        # With the step goes the flow, and what is in it.
        self.admin.delete(super().item(self.execution(resource_id, state, call), state), call)


class ExecutionConfigType(TableType):
    """``keycloak:authentication/executionConfig:ExecutionConfig``: the settings of a step; its id is Keycloak's."""

    token = "keycloak:authentication/executionConfig:ExecutionConfig"  # noqa: S105 - a type token
    fields: ClassVar[Mapping[str, Field]] = {"alias": plainly("alias"), "config": Field("config", empty={})}
    supported = frozenset({*fields, "executionId", "realmId"})
    place = ("realmId", "executionId")
    import_form = "REALM/EXECUTION_ID/ID"

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        if "alias" not in inputs:
            yield "alias", "is required"

    def _execution(self, values: Plain) -> str:
        return f"{_authentication(values)}/executions/{values['executionId']}"

    def collection(self, values: Plain) -> str:
        return f"{self._execution(values)}/config"

    def item(self, resource_id: str, values: Plain) -> str:
        return f"{_authentication(values)}/config/{resource_id}"

    def find(self, inputs: Plain, call: Call) -> str | None:
        found = self.admin.get(self._execution(inputs), call).get("authenticatorConfig")
        return str(found) if found else None


class BindingsType(TableType):
    """``keycloak:authentication/bindings:Bindings``: which flow a realm uses for what. Its id is the realm's name.

    They are fields of the realm, where :class:`~infra.plugins.standins.keycloak.realm.RealmType` changes only those
    that are declared there. What is declared nowhere stays; with the resource gone, all are Keycloak's own again.
    """

    token = "keycloak:authentication/bindings:Bindings"  # noqa: S105 - a type token
    fields: ClassVar[Mapping[str, Field]] = {name: plainly(name) for name in BUILT_IN}
    supported = frozenset({*fields, "realmId"})
    computed = frozenset(fields)
    import_form = "REALM"
    place = ()

    def collection(self, values: Plain) -> str:
        return f"/{values['realmId']}"

    def item(self, resource_id: str, values: Plain) -> str:
        return f"/{resource_id}"

    def find(self, inputs: Plain, call: Call) -> str | None:
        return None  # there always are some

    def create(self, inputs: Plain, call: Call) -> tuple[str, Plain]:
        realm = str(inputs["realmId"])
        return realm, self.update(realm, {}, inputs, call)

    def located(self, import_id: str) -> tuple[Plain, str]:
        return {"realmId": import_id}, import_id

    def delete(self, resource_id: str, state: Plain, call: Call) -> None:
        path = self.item(resource_id, state)
        self.admin.put(path, {**self.admin.get(path, call), **BUILT_IN}, call)
