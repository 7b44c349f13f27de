"""The local Docker target: one container a service, nothing published but on loopback, nothing shared but networks.

Config files are written once per content into the stack's folder and mounted read-only: their path holds their
digest, so a changed file is a changed mount, which Pulumi sees and answers with a new container. (``uploads`` of the
Docker provider copies to ``/``, which the daemon refuses for a read-only root file system.)

Secrets never pass through Pulumi: a small agent, which alone can decrypt the store, fills one tmpfs a service.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_docker as docker

from components.resources.target import Capability, early
from components.spec import AGENT_IMAGE, CONFIG_FOLDER, OPEN_NETWORKS, SECRETS_FOLDER, NetworkName, ServiceSpec
from infra.targets.on_host import ADMIN_PATHS, AGENT, config_digest, delivery, restore_config, write_files

NO_RESOLVER = "127.0.0.1"
"""Inside a container nobody answers there; names of the stack's own services are the daemon's to know."""
AGENT_UID = 61011
AGENT_MEMORY_MIB = 48
CORE_BYTES = 1
"""No core file: one of a single byte is not written. At 0 the kernel would still pipe one to a host's crash handler."""
RESTART = "always"
"""Not ``unless-stopped``: a daemon that comes back after it was killed stops what still runs, takes that for somebody's
wish and leaves it stopped for good; any signal to a container makes it do the same at the next start (moby#41302)."""


@dataclass(frozen=True, kw_only=True)
class DockerSettings:
    """``images``: image name -> id (``sha256:…``); ``config`` and ``custody``: absolute folders on the host."""

    stack: str
    images: Mapping[str, str]
    config: Path
    custody: Path
    admin_port: int


class DockerTarget:
    """A :class:`components.resources.target.Target` over the Docker daemon of this machine (or of ``DOCKER_HOST``)."""

    name = "docker"
    capabilities = frozenset(Capability) - {Capability.BUCKET, Capability.JOB}

    def __init__(self, settings: DockerSettings) -> None:
        self._settings = settings
        self._networks: dict[str, docker.Network] = {}
        self._volumes: dict[str, docker.Volume] = {}
        self._secrets: dict[str, docker.Volume] = {}
        self._services: dict[str, docker.Container] = {}

    def network(self, name: NetworkName, parent: pulumi.Resource) -> None:
        """A bridge; without a way out unless its name is in ``OPEN_NETWORKS``.

        A bridge without a way out has no address on the host either: else every program of the host that listens on
        all addresses could be reached from inside.
        """
        internal = name not in OPEN_NETWORKS
        self._networks[name] = docker.Network(
            f"network-{name}",
            name=self._full(name),
            driver="bridge",
            internal=internal,
            options={"com.docker.network.bridge.inhibit_ipv4": "true"} if internal else None,
            labels=[docker.NetworkLabelArgs(label=key, value=value) for key, value in self._labels().items()],
            opts=pulumi.ResourceOptions(parent=parent, delete_before_replace=True),
        )

    def volume(self, name: str, parent: pulumi.Resource) -> None:
        """A named volume, protected: only ``praxis down`` deletes it, after a yes."""
        self._volumes[name] = docker.Volume(
            f"volume-{name}",
            name=self._full(name),
            driver="local",
            labels=[docker.VolumeLabelArgs(label=key, value=value) for key, value in self._labels().items()],
            opts=pulumi.ResourceOptions(parent=parent, protect=True),
        )

    def deliver_secrets(self, services: Iterable[ServiceSpec], parent: pulumi.Resource) -> None:
        """A tmpfs a service, which the agent fills at each of its starts and keeps alive."""
        receivers = [spec for spec in services if spec.secrets]
        for spec in receivers:
            self._secrets[spec.name] = docker.Volume(
                f"secrets-{spec.name}",
                name=self._full(f"secrets-{spec.name}"),
                driver="local",
                # Owned by the agent, readable by the service's group alone; what is made in it inherits that group.
                driver_opts={
                    "type": "tmpfs",
                    "device": "tmpfs",
                    "o": f"size=1m,uid={AGENT_UID},gid={spec.uid},mode=2750",
                },
                labels=[docker.VolumeLabelArgs(label=key, value=value) for key, value in self._labels().items()],
                opts=pulumi.ResourceOptions(parent=parent),
            )
        agent = self._container(
            ServiceSpec(
                name=AGENT,
                image=AGENT_IMAGE,
                uid=AGENT_UID,
                memory_mib=AGENT_MEMORY_MIB,
                networks=(),
                command=("runtime.agent",),
                config_files={"delivery.json": delivery(receivers)},
                tmp_mib=1,
            ),
            parent,
            mounts=[
                _bind(self._settings.custody, "/custody"),
                *(
                    docker.ContainerMountArgs(
                        type="volume", source=self._secrets[spec.name].name, target=f"/deliver/{spec.name}"
                    )
                    for spec in receivers
                ),
            ],
            after=(),
        )
        self._services[AGENT] = agent

    def service(
        self, spec: ServiceSpec, parent: pulumi.Resource, after: Sequence[pulumi.Resource] = ()
    ) -> pulumi.Resource:
        """One container. It is made when what it needs is ready, and done when its own probe says so."""
        needs = [self._services[name] for name in (AGENT, *spec.needs)]
        mounts = [
            docker.ContainerMountArgs(type="volume", source=self._volumes[mount.volume].name, target=mount.path)
            for mount in spec.volumes
        ]
        if spec.secrets:
            mounts.append(
                docker.ContainerMountArgs(
                    type="volume", source=self._secrets[spec.name].name, target=SECRETS_FOLDER, read_only=True
                )
            )
        self._services[spec.name] = self._container(spec, parent, mounts=mounts, after=[*needs, *after])
        return self._services[spec.name]

    def reach(self, service: str, *, in_preview: bool = False) -> pulumi.Output[str]:
        """The edge's admin entry point, on this machine's loopback; known once edge and service are ready."""
        ready = pulumi.Output.all(self._services["edge"].id, self._services[service].id)
        url = f"http://127.0.0.1:{self._settings.admin_port}{ADMIN_PATHS[service]}"
        return early(url, ready) if in_preview else ready.apply(lambda _: url)

    def _container(
        self,
        spec: ServiceSpec,
        parent: pulumi.Resource,
        *,
        mounts: Sequence[docker.ContainerMountArgs],
        after: Sequence[pulumi.Resource],
    ) -> docker.Container:
        config = [_bind(self._write_config(spec), CONFIG_FOLDER)] if spec.config_files else []
        probe = spec.probe
        return docker.Container(
            f"service-{spec.name}",
            name=self._full(spec.name),
            image=self._settings.images[spec.image],
            command=list(spec.command) or None,
            envs=[f"{key}={value}" for key, value in sorted(spec.env.items())],
            user=f"{spec.uid}:{spec.uid}",
            hostname=spec.name,
            memory=spec.memory_mib,
            # The same as memory: no swap. Left out, the provider would report a change at every refresh.
            memory_swap=spec.memory_mib,
            restart=RESTART,
            read_only=True,
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            security_opts=["no-new-privileges:true"],
            ulimits=[docker.ContainerUlimitArgs(name="core", soft=CORE_BYTES, hard=CORE_BYTES)],
            init=True,
            tmpfs={"/tmp": f"size={spec.tmp_mib}m,mode=1777"},  # noqa: S108 - a tmpfs of the container's own
            mounts=[*mounts, *config],
            network_mode="bridge" if spec.networks else "none",
            # The daemon would hand names that it does not know to the host's resolver: a way out, letter by letter.
            dns=None if OPEN_NETWORKS & set(spec.networks) else [NO_RESOLVER],
            sysctls=dict(spec.sysctls) or None,
            networks_advanced=[
                docker.ContainerNetworksAdvancedArgs(name=self._networks[name].name, aliases=[spec.name, *spec.aliases])
                for name in spec.networks
            ],
            ports=[
                docker.ContainerPortArgs(internal=port.container_port, external=port.host_port, ip="127.0.0.1")
                for port in spec.ports
            ],
            healthcheck=None
            if probe is None
            else docker.ContainerHealthcheckArgs(
                tests=["CMD", *probe.command],
                interval=f"{probe.interval_s}s",
                timeout=f"{probe.timeout_s}s",
                start_period=f"{probe.start_period_s}s",
                retries=probe.retries,
            ),
            wait=probe is not None,
            wait_timeout=300,
            stop_timeout=spec.stop_grace_s,
            destroy_grace_seconds=spec.stop_grace_s,
            log_driver="json-file",
            log_opts={"max-size": "10m", "max-file": "3"},
            labels=[
                docker.ContainerLabelArgs(label=key, value=value)
                for key, value in {
                    **self._labels(),
                    "praxis.service": spec.name,
                    "praxis.spec": spec.digest(),
                }.items()
            ],
            opts=pulumi.ResourceOptions(
                parent=parent,
                depends_on=list(after),
                # A name and a host port can be held by one container only.
                delete_before_replace=True,
                # The provider claims to update a health check in place and does not.
                replace_on_changes=["healthcheck", "tmpfs", "labels"],
            ),
        )

    def _write_config(self, spec: ServiceSpec) -> Path:
        """Write the service's config files; the folder's name is their digest, so what is there already stays.

        What is not as its name says was changed by hand: it is written again, but not when this is only a preview.
        """
        folder = self._settings.config / f"{spec.name}-{config_digest(spec.config_files)}"
        if folder.exists():
            if not pulumi.runtime.is_dry_run():
                restore_config(folder, spec.config_files)
            return folder
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        write_files(partial, spec.config_files)
        partial.rename(folder)
        return folder

    def _labels(self) -> dict[str, str]:
        return {"praxis.stack": self._settings.stack}

    def _full(self, name: str) -> str:
        return f"praxis-{self._settings.stack}-{name}"


def _bind(source: Path, target: str) -> docker.ContainerMountArgs:
    return docker.ContainerMountArgs(type="bind", source=str(source), target=target, read_only=True)
