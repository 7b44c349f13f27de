"""The look at config files: what is in the folders that containers mount, against what was delivered there."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from components.spec import CONFIG_FOLDER
from infra.drift.containers import Declared
from infra.drift.findings import Finding, Kind, Seen, Unseen
from infra.targets.on_host import config_digest

SHOWN_HEX = 16


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A service's config folder. ``wanted`` is ``None`` when what was delivered there is known by its digest alone."""

    service: str
    urn: str
    digest: str
    """As its name has it: of all that was delivered there."""
    wanted: Mapping[str, str] | None
    live: Mapping[str, str] | None
    """``None``: there is no such folder."""
    changed_at: Mapping[str, str] = field(default_factory=dict)


def findings(folders: Iterable[Folder], stack: str) -> Iterator[Finding]:
    """Every file that was changed, added or removed, by its path."""
    for folder in folders:
        if folder.live is None:
            yield _finding(folder, stack, "state", Kind.MISSING, "present", "missing")
        elif config_digest(folder.live) != folder.digest:
            yield from _files(folder, folder.live, stack)


def _files(folder: Folder, live: Mapping[str, str], stack: str) -> Iterator[Finding]:
    if folder.wanted is None:
        yield _finding(folder, stack, "content", Kind.CHANGED, folder.digest, config_digest(live))
        return
    for path in sorted(folder.wanted.keys() | live.keys()):
        want, have = folder.wanted.get(path), live.get(path)
        if want == have:
            continue
        kind = Kind.MISSING if have is None else Kind.FOREIGN if want is None else Kind.CHANGED
        yield _finding(folder, stack, path, kind, _content(want), _content(have))


def _content(text: str | None) -> str | None:
    if text is None:
        return None
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:SHOWN_HEX]}, {len(text.splitlines())} lines"


def _finding(folder: Folder, stack: str, path: str, kind: Kind, declared: str | None, live: str | None) -> Finding:
    return Finding(
        resource=f"config/{folder.service}",
        path=path,
        kind=kind,
        declared=declared,
        live=live,
        urn=folder.urn,
        since=folder.changed_at.get(path) or max(folder.changed_at.values(), default=None),
        repair=f"./praxis up {stack}",
    )


def mounted_folder(one: Declared) -> Path | None:
    """The host's folder that a container mounts as its config; ``None`` when it has none."""
    mounts = one.inputs.get("mounts") or []
    return next((Path(mount["source"]) for mount in mounts if mount["target"] == CONFIG_FOLDER), None)


def read(folder: Path) -> tuple[dict[str, str], dict[str, str]] | None:
    """Each file's content, and when it was last changed, by path; ``None`` when there is no such folder."""
    if not folder.is_dir():
        return None
    content, times = {}, {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink()):
        name = file.relative_to(folder).as_posix()
        content[name] = file.read_text(encoding="utf-8", errors="replace")
        moment = datetime.datetime.fromtimestamp(file.stat().st_mtime, datetime.UTC)
        times[name] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return content, times


def look(declared: Iterable[Declared], wanted: Mapping[str, Mapping[str, str]], stack: str) -> Seen:
    """Every config folder. ``wanted``: service -> its files as the stack file has them now."""
    folders, unseen = [], []
    for one in declared:
        path = mounted_folder(one)
        if path is None:
            continue
        digest = path.name.rpartition("-")[2]
        files = wanted.get(one.service, {})
        try:
            found = read(path)
        except OSError as error:
            unseen.append(Unseen(what=f"config/{one.service}", why=f"{error.filename}: {error.strerror}"))
            continue
        folders.append(
            Folder(
                service=one.service,
                urn=one.urn,
                digest=digest,
                wanted=files if config_digest(files) == digest else None,
                live=None if found is None else found[0],
                changed_at={} if found is None else found[1],
            )
        )
    return Seen(findings=tuple(findings(folders, stack)), unseen=tuple(unseen))
