"""The realm itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from infra.plugins.standins.durations import nanoseconds
from infra.plugins.standins.keycloak.table import Field, TableType, pick, plainly, put, span, texts
from infra.plugins.standins.kinds import Call
from infra.plugins.standins.values import Plain, known

_SPANS = (
    "accessCodeLifespan", "accessCodeLifespanLogin", "accessCodeLifespanUserAction", "accessTokenLifespan",
    "accessTokenLifespanForImplicitFlow", "actionTokenGeneratedByAdminLifespan", "actionTokenGeneratedByUserLifespan",
    "clientSessionIdleTimeout", "clientSessionMaxLifespan", "oauth2DeviceCodeLifespan", "offlineSessionIdleTimeout",
    "offlineSessionMaxLifespan", "ssoSessionIdleTimeout", "ssoSessionIdleTimeoutRememberMe", "ssoSessionMaxLifespan",
    "ssoSessionMaxLifespanRememberMe",
)  # fmt: skip
_COMPUTED = (
    "browserFlow", "clientAuthenticationFlow", "directGrantFlow", "dockerAuthenticationFlow", "duplicateEmailsAllowed",
    "editUsernameAllowed", "firstBrokerLoginFlow", "loginWithEmailAllowed", "oauth2DevicePollingInterval",
    "registrationAllowed", "registrationEmailAsUsername", "registrationFlow", "rememberMe", "resetCredentialsFlow",
    "resetPasswordAllowed", "verifyEmail",
)  # fmt: skip
_TEXTS = (
    "accountTheme", "adminTheme", "defaultSignatureAlgorithm", "displayName", "displayNameHtml", "emailTheme",
    "loginTheme", "passwordPolicy", "realm", "sslRequired",
)  # fmt: skip
_FLAGS = ("enabled", "offlineSessionMaxLifespanEnabled", "organizationsEnabled", "revokeRefreshToken")

_BRUTE_FORCE = {
    "bruteForceStrategy": "bruteForceStrategy",
    "failureResetTimeSeconds": "maxDeltaTimeSeconds",
    "maxFailureWaitSeconds": "maxFailureWaitSeconds",
    "maxLoginFailures": "failureFactor",
    "maxTemporaryLockouts": "maxTemporaryLockouts",
    "minimumQuickLoginWaitSeconds": "minimumQuickLoginWaitSeconds",
    "permanentLockout": "permanentLockout",
    "quickLoginCheckMilliSeconds": "quickLoginCheckMilliSeconds",
    "waitIncrementSeconds": "waitIncrementSeconds",
}
_HEADERS = {
    name: f"browserSecurityHeaders.{name}"
    for name in (
        "contentSecurityPolicy", "contentSecurityPolicyReportOnly", "referrerPolicy", "strictTransportSecurity",
        "xContentTypeOptions", "xFrameOptions", "xRobotsTag",
    )
} | {"xXssProtection": "browserSecurityHeaders.xXSSProtection"}  # fmt: skip


class RealmType(TableType):
    """``keycloak:index/realm:Realm``; its id is its name."""

    token = "keycloak:index/realm:Realm"  # noqa: S105 - a type token
    fields: ClassVar[Mapping[str, Field]] = {
        **{name: plainly(name) for name in (*_COMPUTED, *_TEXTS)},
        **{name: plainly(name, absent=False) for name in _FLAGS},
        **{name: span(name) for name in _SPANS},
        "refreshTokenMaxReuse": Field("refreshTokenMaxReuse", empty=0),
        "userManagedAccess": Field("userManagedAccessAllowed", empty=False),
        "internalId": plainly("id"),
    }
    supported = frozenset({*fields, "securityDefenses"})
    defaults = {
        "enabled": True,
        "offlineSessionMaxLifespanEnabled": False,
        "organizationsEnabled": False,
        "refreshTokenMaxReuse": 0,
        "revokeRefreshToken": False,
        "sslRequired": "external",
        "userManagedAccess": False,
    }
    nested_defaults = {
        "securityDefenses.bruteForceDetection": {
            "bruteForceStrategy": "MULTIPLE", "failureResetTimeSeconds": 43200, "maxFailureWaitSeconds": 900,
            "maxLoginFailures": 30, "maxTemporaryLockouts": 0, "minimumQuickLoginWaitSeconds": 60,
            "permanentLockout": False, "quickLoginCheckMilliSeconds": 1000, "waitIncrementSeconds": 60,
        },
        "securityDefenses.headers": {
            "contentSecurityPolicy": "frame-src 'self'; frame-ancestors 'self'; object-src 'none';",
            "contentSecurityPolicyReportOnly": "", "referrerPolicy": "no-referrer",
            "strictTransportSecurity": "max-age=31536000; includeSubDomains", "xContentTypeOptions": "nosniff",
            "xFrameOptions": "SAMEORIGIN", "xRobotsTag": "none", "xXssProtection": "1; mode=block",
        },
    }  # fmt: skip
    # The signature algorithm is not computed upstream, where leaving it out shows a change at every run.
    computed = frozenset({*_COMPUTED, *_SPANS, "internalId", "defaultSignatureAlgorithm"})
    durations = frozenset(_SPANS)
    import_form = "REALM"
    place = ()

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        if "realm" not in inputs:
            yield "realm", "is required"
        for name in _SPANS:
            try:
                nanoseconds(known(inputs.get(name), "0"))
            except ValueError as error:
                yield name, str(error)

    def collection(self, values: Plain) -> str:
        return ""

    def item(self, resource_id: str, values: Plain) -> str:
        return f"/{resource_id}"

    def find(self, inputs: Plain, call: Call) -> str | None:
        return str(inputs["realm"])

    def identify(self, answer: str, inputs: Plain, call: Call) -> str:
        return str(inputs["realm"])

    def body(self, inputs: Plain) -> dict[str, Any]:
        body = super().body(inputs)
        defenses = inputs.get("securityDefenses", {})
        body["bruteForceProtected"] = "bruteForceDetection" in defenses
        for given, paths in ((defenses.get("bruteForceDetection"), _BRUTE_FORCE), (defenses.get("headers"), _HEADERS)):
            for name, value in (given or {}).items():
                put(body, paths[name], value)
        return body

    def state(self, body: Mapping[str, Any], known: Plain) -> Plain:
        live, declared = super().state(body, known), known.get("securityDefenses", {})
        defenses: Plain = {}
        if body.get("bruteForceProtected"):
            defenses["bruteForceDetection"] = {name: pick(body, path) for name, path in _BRUTE_FORCE.items()}
        if "headers" in declared:
            defenses["headers"] = {name: pick(body, path) for name, path in _HEADERS.items()}
        # As upstream: seen only where it is declared, or at an import.
        if declared or "realm" not in known:
            live["securityDefenses"] = defenses
        return live


class RealmEventsType(TableType):
    """``keycloak:index/realmEvents:RealmEvents``: what a realm writes down. Its id is the realm's name."""

    token = "keycloak:index/realmEvents:RealmEvents"  # noqa: S105 - a type token
    fields: ClassVar[Mapping[str, Field]] = {
        **{
            name: plainly(name, absent=False)
            for name in ("adminEventsDetailsEnabled", "adminEventsEnabled", "eventsEnabled")
        },
        "eventsExpiration": Field("eventsExpiration", empty=0, absent=0),
        "eventsListeners": texts("eventsListeners", absent=[]),
        "enabledEventTypes": texts("enabledEventTypes", absent=[]),
    }
    supported = frozenset({*fields, "realmId"})
    sets = frozenset({"enabledEventTypes"})
    import_form = "REALM"
    place = ()

    def collection(self, values: Plain) -> str:
        return f"/{values['realmId']}/events/config"

    def item(self, resource_id: str, values: Plain) -> str:
        return f"/{resource_id}/events/config"

    def find(self, inputs: Plain, call: Call) -> str | None:
        return None  # there always is one

    def create(self, inputs: Plain, call: Call) -> tuple[str, Plain]:
        realm = str(inputs["realmId"])
        return realm, self.update(realm, {}, inputs, call)

    def located(self, import_id: str) -> tuple[Plain, str]:
        return {"realmId": import_id}, import_id

    def state(self, body: Mapping[str, Any], known: Plain) -> Plain:
        """As upstream, types of events are looked at only where they are declared: Keycloak lists all it knows."""
        live = super().state(body, known)
        return {name: value for name, value in live.items() if name != "enabledEventTypes" or known.get(name)}

    def delete(self, resource_id: str, state: Plain, call: Call) -> None:
        off: Plain = {name: field.absent for name, field in self.fields.items()}
        self.admin.put(self.item(resource_id, state), {**off, "eventsListeners": ["jboss-logging"]}, call)
