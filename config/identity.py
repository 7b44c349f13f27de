"""The company directories that people come from: what each kind needs, and which role and department it gives whom.

A directory is an identity provider of the realm. People sign in there; the groups or app roles that it tells decide
about role and department, anew at each sign-in. Who gets no role here is refused at the gateway.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from config.secrets import SecretReference
from runtime.contract import Model, Slug


def _https(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError("must be an https:// address without credentials or fragment")
    return url


def _without_query(url: str) -> str:
    if urlsplit(url).query:
        raise ValueError("must be an https:// address without a query")
    return url


def _certificate(text: str) -> str:
    """Only the base64 of one certificate, as Keycloak keeps it."""
    lines = [line.strip() for line in text.strip().splitlines()]
    if lines[:1] != ["-----BEGIN CERTIFICATE-----"] or lines[-1:] != ["-----END CERTIFICATE-----"]:
        raise ValueError("must be one certificate in PEM form (-----BEGIN CERTIFICATE-----)")
    content = "".join(lines[1:-1])
    if not re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", content):
        raise ValueError("must be one certificate in PEM form, and nothing else")
    return content


def _tenant(text: str) -> str:
    """Of one tenant: not ``common`` and its like, by which anybody could sign in."""
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        raise ValueError("must be the id of one tenant, as in 11111111-2222-3333-4444-555555555555")
    return text


Url = Annotated[str, AfterValidator(_https)]
"""Where a browser is sent."""
CalledUrl = Annotated[str, AfterValidator(_https), AfterValidator(_without_query)]
"""Where Keycloak itself calls."""
Host = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")]
"""A host name, in lower case."""
ClaimName = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")]
"""A claim or an attribute. In a claim's name a dot leads into an object; ``\\.`` is one that belongs to the name."""
Values = Annotated[
    tuple[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)], ...],
    Field(min_length=1),
]
"""Groups or app roles, as the directory writes them; one of them is enough."""


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Where an OpenID Connect provider is. ``authorization`` is for browsers, Keycloak itself calls the rest."""

    issuer: str
    authorization: str
    token: str
    keys: str
    user_info: str | None = None


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a directory gives: ``name`` (a role, a department; empty for auditors) to who has one of ``values``."""

    what: Literal["role", "department", "auditor"]
    name: str
    values: tuple[str, ...]


class _Directory(Model):
    """What all kinds have in common."""

    title: Annotated[str, StringConstraints(strip_whitespace=True, max_length=60)] = ""
    """What the sign-in page calls it; its name in this file unless given."""

    @abstractmethod
    def claims(self) -> tuple[str, str]:
        """The claims that tell about roles (and auditors) and about departments."""

    @abstractmethod
    def gives(self) -> Iterator[Given]:
        """Every role and department that it gives."""


class _ByGroup(_Directory):
    """Groups decide."""

    roles: Annotated[dict[Slug, Values], Field(min_length=1)]
    """Role -> groups or app roles of the directory. Who is in groups of several roles has the one that stands first
    under ``roles`` of the stack file."""
    departments: Annotated[dict[Slug, Values], Field(min_length=1)]
    """Department -> groups or app roles of the directory."""
    auditors: Values | None = None
    """Who may look at other people's traces in the trace store; nobody unless given."""

    def gives(self) -> Iterator[Given]:
        for name, values in self.roles.items():
            yield Given(what="role", name=name, values=values)
        for name, values in self.departments.items():
            yield Given(what="department", name=name, values=values)
        if self.auditors:
            yield Given(what="auditor", name="", values=self.auditors)


class _Oidc(_Directory):
    """What kinds that speak OpenID Connect have in common."""

    client_id: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    """Of the application that was registered in the directory for this gateway."""
    client_secret: SecretReference
    """Of that application."""

    @abstractmethod
    def endpoints(self) -> Endpoints:
        """Where it is."""

    def scopes(self) -> tuple[str, ...]:
        """What is asked for."""
        return ("openid", "profile", "email")


class EntraDirectory(_Oidc, _ByGroup):
    """`identity.directories` with `kind: entra`: Microsoft Entra ID, one tenant."""

    kind: Literal["entra"]
    tenant: Annotated[str, AfterValidator(_tenant)]
    """Id of the tenant: tokens name it by that, even to who asked by its domain."""
    role_claim: ClaimName = "roles"
    """What tells about roles: ``roles`` (app roles) or ``groups`` (object ids of groups)."""
    department_claim: ClaimName = "roles"
    """What tells about departments."""

    def claims(self) -> tuple[str, str]:
        return self.role_claim, self.department_claim

    def endpoints(self) -> Endpoints:
        base = f"https://login.microsoftonline.com/{self.tenant}"
        return Endpoints(
            issuer=f"{base}/v2.0",
            authorization=f"{base}/oauth2/v2.0/authorize",
            token=f"{base}/oauth2/v2.0/token",
            keys=f"{base}/discovery/v2.0/keys",
        )


class OktaDirectory(_Oidc, _ByGroup):
    """`identity.directories` with `kind: okta`: Okta, one organisation."""

    kind: Literal["okta"]
    domain: Host
    """As in ``acme.okta.com``."""
    authorization_server: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,60}$")] | None = None
    """Id of a custom authorization server (``default`` is one); the organisation's own unless given."""
    role_claim: ClaimName = "groups"
    """What tells about roles."""
    department_claim: ClaimName = "groups"
    """What tells about departments."""

    def claims(self) -> tuple[str, str]:
        return self.role_claim, self.department_claim

    def scopes(self) -> tuple[str, ...]:
        return (*super().scopes(), "groups")

    def endpoints(self) -> Endpoints:
        server = f"/oauth2/{self.authorization_server}" if self.authorization_server else ""
        base = f"https://{self.domain}{server or '/oauth2'}/v1"
        return Endpoints(
            issuer=f"https://{self.domain}{server}",
            authorization=f"{base}/authorize",
            token=f"{base}/token",
            keys=f"{base}/keys",
            user_info=f"{base}/userinfo",
        )


class GoogleDirectory(_Oidc):
    """`identity.directories` with `kind: google`: Google Workspace. It tells of no groups by OpenID Connect, so
    everybody of the domain has the same role; where groups are to decide, declare it with `kind: saml`."""

    kind: Literal["google"]
    hosted_domain: Host
    """The company's domain. Other Google accounts get no role."""
    role: Slug
    """Of everybody in the domain."""
    department: Slug
    """Of everybody in the domain."""

    def claims(self) -> tuple[str, str]:
        return "hd", "hd"

    def gives(self) -> Iterator[Given]:
        yield Given(what="role", name=self.role, values=(self.hosted_domain,))
        yield Given(what="department", name=self.department, values=(self.hosted_domain,))

    def endpoints(self) -> Endpoints:
        return Endpoints(
            issuer="https://accounts.google.com",
            authorization=f"https://accounts.google.com/o/oauth2/v2/auth?hd={self.hosted_domain}",
            token="https://oauth2.googleapis.com/token",  # noqa: S106 - an address
            keys="https://www.googleapis.com/oauth2/v3/certs",
            user_info="https://openidconnect.googleapis.com/v1/userinfo",
        )


class OidcDirectory(_Oidc, _ByGroup):
    """`identity.directories` with `kind: oidc`: any OpenID Connect provider. Its addresses are in its
    `/.well-known/openid-configuration`."""

    kind: Literal["oidc"]
    issuer: CalledUrl
    """As its tokens name it."""
    authorization_url: Url
    """`authorization_endpoint`."""
    token_url: CalledUrl
    """`token_endpoint`."""
    keys_url: CalledUrl
    """`jwks_uri`."""
    user_info_url: CalledUrl | None = None
    """`userinfo_endpoint`, when the groups are told there and not in the ID token."""
    more_scopes: tuple[Annotated[str, StringConstraints(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,100}$")], ...] = ()
    """Asked for besides ``openid profile email``."""
    role_claim: ClaimName = "groups"
    """What tells about roles."""
    department_claim: ClaimName = "groups"
    """What tells about departments."""

    def claims(self) -> tuple[str, str]:
        return self.role_claim, self.department_claim

    def scopes(self) -> tuple[str, ...]:
        return (*super().scopes(), *self.more_scopes)

    def endpoints(self) -> Endpoints:
        return Endpoints(
            issuer=self.issuer,
            authorization=self.authorization_url,
            token=self.token_url,
            keys=self.keys_url,
            user_info=self.user_info_url,
        )


class SamlDirectory(_ByGroup):
    """`identity.directories` with `kind: saml`: any SAML 2.0 identity provider. What it says must be signed."""

    kind: Literal["saml"]
    entity_id: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1024)]
    """The identity provider's own, as its answers name it."""
    sign_in_url: Url
    """Its single sign-on service with the HTTP-Redirect binding."""
    signing_certificate: Annotated[str, AfterValidator(_certificate)]
    """By which its answers are checked (PEM)."""
    name_id: Literal["persistent", "email", "unspecified"] = "persistent"
    """The form in which people are named to the gateway. It must name the same person at each sign-in."""
    role_attribute: ClaimName = "groups"
    """The attribute that tells about roles."""
    department_attribute: ClaimName = "groups"
    """The attribute that tells about departments."""
    email_attribute: ClaimName = "email"
    """The attribute with the mail address."""
    given_name_attribute: ClaimName = "firstName"
    """The attribute with the given name."""
    family_name_attribute: ClaimName = "lastName"
    """The attribute with the family name."""

    def claims(self) -> tuple[str, str]:
        return self.role_attribute, self.department_attribute


OpenIdDirectory = EntraDirectory | OktaDirectory | GoogleDirectory | OidcDirectory
Directory = Annotated[OpenIdDirectory | SamlDirectory, Field(discriminator="kind")]


class Identity(Model):
    """Where people come from besides ``people`` of the stack file."""

    directories: dict[Slug, Directory] = Field(default_factory=dict)
    """The company's directories by name. Keycloak is their client at ``/realms/praxis/broker/NAME/endpoint``."""

    def openid(self) -> Mapping[str, OpenIdDirectory]:
        """Those that speak OpenID Connect: Keycloak itself calls them."""
        return {name: each for name, each in self.directories.items() if isinstance(each, _Oidc)}
