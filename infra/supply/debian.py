"""Debian for the images: the root file system of the base, and packages on top of an image.

Neither leaves a trace of how this host reaches the archive: sources, proxies and certificates are given to the package
tools for as long as they run, and are gone before the result is kept.
"""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from pathlib import Path

import docker

from infra.paths import cache
from infra.supply.process import LAST_LINES, SupplyError, run
from infra.supply.recipe import Debian, Root
from infra.supply.registries import apt_settings, ca_bundle, debian_sources, proxy_variables, require

UNNEEDED = ("doc", "man", "locale", "info", "lintian")
"""Folders of /usr/share that no package of the images installs."""
APT = "DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Options::=--force-confold"


def import_root(client: docker.DockerClient, root: Root, tag: str) -> None:
    """Make the root file system and load it as the image ``tag``. Raises :class:`SupplyError`."""
    require("mmdebstrap", "mmdebstrap debian-archive-keyring")
    sources = debian_sources(root.suite)
    with tempfile.TemporaryDirectory(prefix="root-", dir=scratch()) as folder:
        archive, kept, conf = (Path(folder) / name for name in ("root.tar", "sources.list", "apt.conf"))
        conf.write_text(_apt_conf(), encoding="utf-8")
        run(
            [
                *("mmdebstrap", "--variant=apt", f"--include={','.join(root.packages)}"),
                *("--dpkgopt=force-unsafe-io", *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in UNNEEDED)),
                *((f"--aptopt={conf}",) if conf.stat().st_size else ()),
                # The sources in use are kept for the other images' packages; the image itself has none.
                f'--customize-hook=cd "$1"/etc/apt && cat $(find sources.list* -type f) > {kept}',
                '--customize-hook=cd "$1"/etc && rm -rf apt/sources.list* apt/apt.conf.d/99mmdebstrap',
                '--customize-hook=cd "$1" && rm -rf etc/resolv.conf etc/hostname var/log/* var/cache/debconf/*-old',
                *(root.suite, archive, *(("-",) if sources else ())),
            ],
            what="making the base file system",
            log=cache() / "logs/base.log",
            stdin=sources or None,
        )
        _kept_sources(root.suite).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept, _kept_sources(root.suite))
        name, _, version = tag.partition(":")
        with archive.open("rb") as data:
            client.api.import_image_from_data(data, repository=name, tag=version)


def install_packages(
    client: docker.DockerClient, base: str, debian: Debian, suite: str, tag: str, *, own_sources: bool = False
) -> None:
    """Install packages in a container of ``base`` and keep the difference as the image ``tag``.

    ``own_sources``: ``base`` says itself where Debian is (a vendor's does).

    Raises :class:`SupplyError` with the last lines of what apt said.
    """
    given = _apt_files(suite, own=own_sources)
    steps = [
        *debian.before,
        f"{APT} update",
        f"{APT} install -y --no-install-recommends {' '.join(debian.packages)}",
        *debian.after,
        "apt-get clean",
        f"rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/* /tmp/* {' '.join(f'/{path}' for path in given)}",
    ]
    # No proxy variable in its environment: that would stay in the image. What apt needs of them is in its settings.
    container = client.containers.create(
        base, ["-ec", "\n".join(steps)], entrypoint=["/bin/sh"], user="0", use_config_proxy=False
    )
    try:
        container.put_archive("/", _archive(given))
        container.start()
        status = container.wait()["StatusCode"]
        if status != 0:
            said = container.logs(tail=LAST_LINES).decode(errors="replace")
            raise SupplyError(
                f"installing {' '.join(debian.packages)}: ended with {status}\n{said}",
                fix="check the network; or set PRAXIS_DEBIAN_MIRROR",
            )
        name, _, version = tag.partition(":")
        container.commit(repository=name, tag=version, changes=["ENTRYPOINT []", 'CMD ["/bin/bash"]'])
    finally:
        container.remove(force=True)


def scratch() -> Path:
    """Where half-made things lie: on the cache's disk, since they are too big for a tmpfs."""
    folder = cache() / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _apt_files(suite: str, *, own: bool) -> dict[str, bytes]:
    """Path -> content of what apt in a container is given: sources, settings, and the certificates this host trusts.

    ``own``: the image has sources of its own, which count where nothing is known of others.
    """
    kept = _kept_sources(suite)
    sources = debian_sources(suite) or (kept.read_text(encoding="utf-8") if kept.is_file() else "")
    if not sources and not own:
        raise SupplyError(
            f"it is not known where Debian {suite} comes from",
            fix="set PRAXIS_DEBIAN_MIRROR, or build the base again: ./praxis cache prune, docker rmi praxis/base",
        )
    conf, bundle = _apt_conf(), ca_bundle()
    files = {}
    if sources:
        files["etc/apt/sources.list"] = sources.encode()
        conf += 'Dir::Etc::SourceParts "-";\n'
    if bundle is not None:
        files["etc/apt/build-ca.crt"] = bundle.read_bytes()
        conf += 'Acquire::https::CaInfo "/etc/apt/build-ca.crt";\n'
    return files | {"etc/apt/apt.conf.d/90build": conf.encode()}


def _apt_conf() -> str:
    """This host's settings of apt, and its proxy variables as such."""
    proxies = proxy_variables()
    lines = [
        f'Acquire::{kind}::Proxy "{proxies[key]}";\n'
        for kind, key in (("http", "http_proxy"), ("https", "https_proxy"))
        if key in proxies
    ]
    return apt_settings() + "".join(lines)


def _archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _kept_sources(suite: str) -> Path:
    return cache() / "debian" / f"{suite}.list"
