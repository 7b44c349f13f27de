"""The stack's Keycloak with its database in memory, for tests that need a server of their own."""

from __future__ import annotations

import io

import docker
from docker.errors import ImageNotFound

from infra.supply.built import built_images

REALM_ADMIN = "admin"
PASSWORD_VARIABLE = "KC_BOOTSTRAP_ADMIN_PASSWORD"
START = ["start", "--optimized", "--http-enabled=true", "--hostname-strict=false"]
"""Arguments of a server without TLS that answers by any name."""
_DOCKERFILE = """\
FROM {base}
USER 0:0
RUN rm /opt/keycloak/data && mkdir /opt/keycloak/data && \\
    /opt/keycloak/bin/kc.sh build --db=dev-mem --cache=local && chmod -R a+rwX /opt/keycloak/data
ENTRYPOINT ["/opt/keycloak/bin/kc.sh"]
"""


def image() -> str:
    """Its tag; made from the stack's own image if it is not there yet.

    ``start-dev`` would build for the other database at each start, which takes longer than all else of it. Raises
    ``SupplyError`` or ``KeyError`` if no image was built, and ``ImageNotFound`` if it is gone.
    """
    client, base = docker.from_env(timeout=600), built_images()["keycloak"]
    client.images.get(base)
    tag = f"praxis-tests/keycloak:{base.rpartition(':')[2]}"
    try:
        client.images.get(tag)
    except ImageNotFound:
        client.images.build(fileobj=io.BytesIO(_DOCKERFILE.format(base=base).encode()), tag=tag, rm=True)
    return tag


def admin(password: str) -> dict[str, str]:
    """The environment that makes the admin of realm ``master``."""
    return {"KC_BOOTSTRAP_ADMIN_USERNAME": REALM_ADMIN, PASSWORD_VARIABLE: password}
