"""How this host reaches the package registries, in the words of each tool that a build starts.

A host says it once, in pip's, Go's, npm's, Maven's and apt's own settings and in the proxy variables. uv does not read
pip's settings, and a build inside a container reads none of them, so they are carried over here. They are used while
building and never copied into a result.
"""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from infra.paths import cache
from infra.supply.process import SupplyError

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY")
SYSTEM_BUNDLES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/cert.pem"),
)
MAVEN_SETTINGS = "{http://maven.apache.org/SETTINGS/1.0.0}"


def pip_settings(environ: Mapping[str, str] | None = None, files: tuple[Path, ...] | None = None) -> dict[str, str]:
    """pip's settings that decide where packages come from: ``index-url``, ``extra-index-url``, ``cert``, ``proxy``.

    ``files`` are read in order, later ones win, and ``PIP_…`` variables win over all, as in pip itself.
    """
    environ = os.environ if environ is None else environ
    wanted = ("index-url", "extra-index-url", "cert", "proxy", "trusted-host")
    found: dict[str, str] = {}
    for file in pip_files(environ) if files is None else files:
        parser = configparser.RawConfigParser()
        parser.read(file, encoding="utf-8")
        for section in ("global", "install"):
            for key in wanted:
                if parser.has_option(section, key):
                    found[key] = parser.get(section, key).strip()
    for key in wanted:
        value = environ.get(f"PIP_{key.upper().replace('-', '_')}")
        if value:
            found[key] = value
    return found


def pip_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where pip looks for its settings, site-wide ones first."""
    home = Path(environ.get("HOME", "~")).expanduser()
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    named = environ.get("PIP_CONFIG_FILE")
    return (
        Path("/etc/pip.conf"),
        Path("/etc/xdg/pip/pip.conf"),
        home / ".pip/pip.conf",
        config / "pip/pip.conf",
        *([Path(named)] if named else []),
    )


def uv_environment(
    environ: Mapping[str, str] | None = None, settings: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The variables by which uv uses the index, the CA bundle and the proxy that pip is set up with.

    What is already said to uv itself (``UV_…``, ``SSL_CERT_FILE``) stays.
    """
    environ = os.environ if environ is None else environ
    settings = pip_settings(environ) if settings is None else settings
    proxy = settings.get("proxy", "")
    offered = {
        "UV_DEFAULT_INDEX": settings.get("index-url", ""),
        "UV_INDEX": settings.get("extra-index-url", ""),
        "UV_INSECURE_HOST": settings.get("trusted-host", ""),
        "SSL_CERT_FILE": settings.get("cert", ""),
        "HTTP_PROXY": proxy,
        "HTTPS_PROXY": proxy,
        # One message in a build log is worth more than a bar that a log cannot show.
        "UV_NO_PROGRESS": "1",
        "UV_CACHE_DIR": str(cache() / "uv"),
    }
    return {key: " ".join(value.split()) for key, value in offered.items() if value and key not in environ}


def ca_bundle(environ: Mapping[str, str] | None = None) -> Path | None:
    """The CA bundle this host trusts, as the usual variables or the usual places name it."""
    environ = os.environ if environ is None else environ
    named = [environ[key] for key in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if environ.get(key)]
    return next((path for path in (*map(Path, named), *SYSTEM_BUNDLES) if path.is_file()), None)


def proxy_variables(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The proxy variables of this host in both spellings: some programs read only one of them."""
    environ = os.environ if environ is None else environ
    found = {key: environ.get(key) or environ.get(key.lower()) or "" for key in PROXIES}
    return {spelling: value for key, value in found.items() if value for spelling in (key, key.lower())}


def maven_repository(settings: Path | None = None) -> str:
    """The base URL (no slash at the end) that Maven would fetch artefacts of the central repository from.

    A mirror of ``central`` (or ``*``, ``external:*``) in ``~/.m2/settings.xml`` wins; ``PRAXIS_MAVEN_REPOSITORY``
    over that; else the one built into Maven.
    """
    named = os.environ.get("PRAXIS_MAVEN_REPOSITORY")
    if named:
        return named.rstrip("/")
    settings = Path.home() / ".m2/settings.xml" if settings is None else settings
    if settings.is_file():
        # The operator's own settings file, the one Maven itself trusts.
        root = ElementTree.parse(settings).getroot()  # noqa: S314
        for mirror in root.iter():
            if mirror.tag.removeprefix(MAVEN_SETTINGS) != "mirror":
                continue
            fields = {child.tag.removeprefix(MAVEN_SETTINGS): (child.text or "").strip() for child in mirror}
            covered = {part.strip() for part in fields.get("mirrorOf", "").split(",")}
            if covered & {"*", "external:*", "central"} and "!central" not in covered and fields.get("url"):
                return fields["url"].rstrip("/")
    return "https://" + ".".join(("repo", "maven", "apache", "org")) + "/maven2"


def apt_settings() -> str:
    """This host's ``Acquire`` settings of apt (proxies, checks), as an apt configuration file; empty without apt."""
    if shutil.which("apt-config") is None:
        return ""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    return "".join(f"{line}\n" for line in dump.splitlines() if line.startswith("Acquire::"))


def debian_sources(suite: str, *, etc: Path = Path("/etc")) -> str:
    """Where Debian ``suite`` comes from, as lines of a sources.list; empty = the package tools' own default.

    ``PRAXIS_DEBIAN_MIRROR`` (``URL`` or ``URL SECURITY-URL``) wins; else a host that runs ``suite`` gives its own.
    """
    named = os.environ.get("PRAXIS_DEBIAN_MIRROR", "").split()
    if named:
        main, security = named[0], named[1:2]
        lines = [f"deb {main} {suite} main", f"deb {main} {suite}-updates main"]
        lines += [f"deb {url} {suite}-security main" for url in security]
        return "".join(f"{line}\n" for line in lines)
    release = _text(etc / "os-release").splitlines()
    if "ID=debian" not in release or f"VERSION_CODENAME={suite}" not in release:
        return ""
    lines = []
    folder = etc / "apt/sources.list.d"
    for file in (etc / "apt/sources.list", *sorted(folder.glob("*.list")), *sorted(folder.glob("*.sources"))):
        lines += _deb822(_text(file)) if file.suffix == ".sources" else _text(file).splitlines()
    suites = {suite, f"{suite}-updates", f"{suite}-security"}
    return "".join(f"{line}\n" for line in map(_plain, lines) if line and line.split()[2] in suites)


def _plain(line: str) -> str:
    """A ``deb`` line without its options (keys are those of the image); empty for everything else."""
    words = line.split("#", maxsplit=1)[0].split()
    if not words or words[0] != "deb":
        return ""
    if len(words) > 1 and words[1].startswith("["):
        end = next((index for index, word in enumerate(words) if word.endswith("]")), len(words) - 1)
        words = [words[0], *words[end + 1 :]]
    return " ".join(words) if len(words) >= 4 else ""


def _deb822(text: str) -> list[str]:
    """The one-line form of the ``deb`` stanzas of a ``.sources`` file."""
    lines = []
    for stanza in text.split("\n\n"):
        pairs = (line.partition(":") for line in stanza.splitlines() if line and line[0] not in "# \t")
        fields = {key.strip().lower(): value.strip() for key, _, value in pairs}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        for uri in fields.get("uris", "").split():
            lines += [
                f"deb {uri} {suite} {fields.get('components', 'main')}" for suite in fields.get("suites", "").split()
            ]
    return lines


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def require(program: str, package: str) -> str:
    """The path of ``program``. Raises :class:`SupplyError` that names the package to install."""
    path = shutil.which(program)
    if path is None:
        raise SupplyError(
            f"{program} is not installed", fix=f"install it, on Debian or Ubuntu: apt-get install {package}"
        )
    return path
