"""Published models: immutable versions and one route each, in a store that many processes use at once.

    models/NAME/claims/N.json           who took number N, and when; made first, never removed, so no number is used twice
    models/NAME/versions/N/…            the artifact's files, `salver.json` last: with it, the version is there
    models/NAME/route/N.json            the routes, in the order of their making; the highest is in force

All three are settled by one thing, `Store.create`. Whoever is killed on the way leaves a number that is nobody's: no version,
and in nobody's way. The format is described in docs/registry.md.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from salver.artifact.artifact import MANIFEST_LIMIT_BYTES, atomic_folder, decode_manifest, open_artifact
from salver.artifact.manifest import FILENAME, SIGNATURE, Manifest
from salver.artifact.signing import SIGNATURE_LIMIT_BYTES, sign, verify
from salver.config import store_folder
from salver.errors import ArtifactError, ConfigError, Incompatible, NotFound, SalverError, StoreError
from salver.registry.diff import Change, changes
from salver.registry.export import export_artifact
from salver.registry.folder import FolderStore
from salver.registry.layout import COMMITTED, NUMBERED, ROUTED, Checked, Claim, now, parsed, precise, user_name, version_folder
from salver.registry.route import CHAMPION, Route
from salver.registry.store import open_store
from salver.types.reference import Reference
from salver.types.successor import obstacle

_ROUTE_LIMIT_BYTES = 2**20
_ABANDONED = timedelta(days=1)


class Registry:
    """The models of a store. `url` is a folder, file://, s3://, gs:// or az://; None is the user's own store."""

    def __init__(self, url: str | Path | None = None) -> None:
        self.store = open_store(None if url is None else str(url))

    def __repr__(self) -> str:
        return f"<Registry {self.store.url}>"

    # What there is

    def models(self) -> list[str]:
        """The names of the models that have a version."""
        return [name for name in sorted(self.store.children("models")) if self.versions(name)]

    def versions(self, name: str) -> list[int]:
        """The numbers of a model's versions, in order; empty for no such model."""
        committed = {int(found[1]) for at in self.store.names(f"models/{name}/versions") if (found := COMMITTED.search(at))}
        return sorted(committed.difference(self.route(name).deleted)) if committed else []

    def resolve(self, reference: Reference | str) -> tuple[str, int]:
        """The name and the number that `iris`, `iris@3` or `iris@champion` means now. Raises NotFound."""
        wanted = parsed(reference)
        versions = self.versions(wanted.name)
        if not versions:
            raise NotFound(
                f"there is no model '{wanted.name}' in {self.store.url}; `salver models` lists those there are",
                code="unknown_model",
            )
        return wanted.name, self.route(wanted.name).version_of(wanted, versions)

    def manifest(self, name: str, version: int) -> Manifest:
        """What a version says of itself. Raises NotFound, or ArtifactError when it can't be read."""
        return decode_manifest(self._manifest_bytes(name, version), f"{self.store.url}/{version_folder(name, version)}")

    def claim(self, name: str, version: int) -> Claim | None:
        """Who published a version, and when; None where that is not known."""
        data = self.store.read(f"models/{name}/claims/{version}.json", _ROUTE_LIMIT_BYTES)
        return None if data is None else msgspec.json.decode(data, type=Claim)

    # Publishing

    def publish(self, folder: Path, *, by: str = "", why: str = "") -> int:
        """Make the artifact in `folder` the next version of its model, and return its number.

        The first version answers at once; later ones when they are promoted. Raises ArtifactError when it is not whole.
        """
        manifest = open_artifact(folder).manifest
        name = parsed(manifest.name).name
        version = self._claimed(name, manifest.digest, by, why)
        at = version_folder(name, version)
        for file in manifest.files:
            self.store.upload(f"{at}/{file}", folder / file)
        if (folder / SIGNATURE).is_file():
            self.store.upload(f"{at}/{SIGNATURE}", folder / SIGNATURE)
        if not self.store.create(f"{at}/{FILENAME}", (folder / FILENAME).read_bytes()):
            raise StoreError(f"{self.store.url}/{at} was written by somebody else; publish again")
        if version in self.edit(name, lambda route: route.first(version), by, why).deleted:
            self._clear(name, version)
            raise StoreError(f"publishing '{name}' took so long that its number was cleared away; publish again")
        return version

    def _claimed(self, name: str, digest: str, by: str, why: str) -> int:
        claim = msgspec.json.encode(Claim(by or user_name(), now(), why, digest, secrets.token_hex(8)))
        number = max(self._numbers(name), default=0) + 1
        while not self.store.create(f"models/{name}/claims/{number}.json", claim):
            number += 1
        return number

    # Routes

    def route(self, name: str) -> Route:
        """The route in force; one without aliases when none was made."""
        numbers = [int(found[1]) for at in self.store.names(f"models/{name}/route") if (found := ROUTED.search(at))]
        return self._route(name, max(numbers)) if numbers else Route()

    def newer(self, name: str, known: Route) -> Route:
        """The route in force, when `known` was it once: one small read where it still is."""
        while (data := self.store.read(f"models/{name}/route/{known.number + 1}.json", _ROUTE_LIMIT_BYTES)) is not None:
            known = self._decoded(name, known.number + 1, data)
        return known

    def history(self, name: str) -> list[Route]:
        """Every route the model had, the latest last: who changed it, when and why."""
        return [self._route(name, number) for number in range(1, self.route(name).number + 1)]

    def edit(self, name: str, change: Callable[[Route], Route], by: str = "", why: str = "") -> Route:
        """Put the route that `change` makes of the one in force into force, and return it.

        When somebody else's edit comes first, `change` is asked again, with theirs. Nothing is written where nothing changes.
        """
        while True:
            route = self.route(name)
            changed = change(route)
            if changed == route:
                return route
            made = msgspec.structs.replace(changed, number=route.number + 1, by=by or user_name(), at=now(), why=why)
            if self.store.create(f"models/{name}/route/{made.number}.json", msgspec.json.encode(made)):
                return made

    def promote(
        self,
        reference: Reference | str,
        alias: str = CHAMPION,
        *,
        other_columns: bool = False,
        by: str = "",
        why: str = "",
    ) -> Route:
        """Let `alias` be that version from now on.

        Raises Incompatible when those who ask the alias now would be refused by it, unless `other_columns`.
        """
        name, version = self.resolve(precise(reference))
        if not other_columns:
            self._require_fit(name, version, self.route(name).aliases.get(alias))
        return self.edit(
            name, lambda route: (route.accepting(version) if other_columns else route).promoted(alias, version), by, why
        )

    def canary(
        self,
        reference: Reference | str,
        percent: float,
        sticky: str = "",
        *,
        other_columns: bool = False,
        by: str = "",
        why: str = "",
    ) -> Route:
        """Let that version answer `percent` of the requests that name no version; of several calls, each has its share.

        `sticky` keeps a caller on one side: `header:NAME`, `field:COLUMN` or `key`. Raises Incompatible as `promote` does.
        """
        wanted = precise(reference)
        name, version = self.resolve(wanted)
        if not other_columns:
            self._require_fit(name, version, self.resolve(name)[1])
        to = str(wanted.version or wanted.alias)
        return self.edit(
            name,
            lambda route: (route.accepting(version) if other_columns else route).with_canary(to, percent, sticky),
            by,
            why,
        )

    def end_canary(self, reference: Reference | str, *, by: str = "", why: str = "") -> Route:
        """Let that version answer no share any more; for a bare name, no canary of the model. Raises NotFound."""
        wanted = parsed(reference)
        to = str(wanted.version or wanted.alias or "")
        return self.edit(wanted.name, lambda route: route.without_canary(to), by, why)

    def shadow(self, reference: Reference | str, *, by: str = "", why: str = "") -> Route:
        """Let that version be asked what the default is asked; nobody is answered by it. Raises Incompatible."""
        wanted = precise(reference)
        name, version = self.resolve(wanted)
        self._require_fit(name, version, self.resolve(name)[1])
        return self.edit(name, lambda route: route.with_shadow(str(wanted.version or wanted.alias)), by, why)

    def end_shadow(self, reference: Reference | str, *, by: str = "", why: str = "") -> Route:
        """Ask that version no more; for a bare name, no shadow of the model. Raises NotFound."""
        wanted = parsed(reference)
        to = str(wanted.version or wanted.alias or "")
        return self.edit(wanted.name, lambda route: route.without_shadow(to), by, why)

    def rollback(self, name: str, alias: str = CHAMPION, *, by: str = "", why: str = "") -> Route:
        """Let `alias` be the version that it was before its last promotion; once more, the one before that."""
        self.resolve(name)
        return self.edit(name, lambda route: route.rolled_back(alias), by, why)

    def demote(self, reference: Reference | str, *, by: str = "", why: str = "") -> Route:
        """Take the alias of `name@alias` away. Raises InUse when canary or shadow go there."""
        wanted = parsed(reference)
        if wanted.alias is None:
            raise ConfigError(f"say which alias to take away: {wanted.name}@ALIAS")
        name, _ = self.resolve(wanted)
        return self.edit(name, lambda route: route.demoted(wanted.alias or ""), by, why)

    def tag(self, reference: Reference | str, tags: Mapping[str, str], *, by: str = "", why: str = "") -> Route:
        """Put tags on a version; an empty value takes one away. They are kept in the route: a version never changes."""
        name, version = self.resolve(reference)
        return self.edit(name, lambda route: route.tagged(version, tags), by, why)

    def delete(self, reference: Reference | str, *, by: str = "", why: str = "") -> None:
        """Delete a version for ever; its number is not used again. Raises InUse when the route needs it."""
        name, version = self.resolve(precise(reference))
        self.edit(name, lambda route: route.without(version), by, why)
        self._clear(name, version)

    # Reading versions

    def fetch(self, name: str, version: int) -> Path:
        """A folder here with the version's artifact, for `open_artifact`, which audits it.

        From a folder it is that very folder. From elsewhere it is downloaded once and kept by the digest of its manifest.
        """
        data = self._manifest_bytes(name, version)
        if isinstance(self.store, FolderStore):
            return self.store.root / version_folder(name, version)
        folder = store_folder() / "cache" / "versions" / hashlib.sha256(data).hexdigest()[:32] / name
        try:
            open_artifact(folder)
        except ArtifactError:  # it is not there, or not what it was
            shutil.rmtree(folder, ignore_errors=True)
            with atomic_folder(folder) as made:
                self._download(name, version, data, made)
                open_artifact(made)
        self._download_signature(name, version, folder)
        return folder

    def verify(self, reference: Reference | str | None = None, public_key: Path | None = None) -> list[Checked]:
        """Read versions as they are stored, and hold them against their digests: one, or all of a model, or all there are.

        With `public_key`, against their signatures too.
        """
        wanted = None if reference is None else parsed(reference)
        if wanted is not None and (wanted.version or wanted.alias):
            pairs = [self.resolve(wanted)]
        else:
            names = self.models() if wanted is None else [self.resolve(wanted)[0]]
            pairs = [(name, version) for name in names for version in self.versions(name)]
        return [self._checked(name, version, public_key) for name, version in pairs]

    def sign(self, name: str, version: int, private_key: Path) -> None:
        """Sign a version as it is stored; another signature that it has is replaced by this one. Raises ConfigError."""
        at = version_folder(name, version)
        with tempfile.TemporaryDirectory(prefix="salver-sign-") as scratch:
            folder = Path(scratch) / name
            folder.mkdir()
            self._download(name, version, self._manifest_bytes(name, version), folder)
            open_artifact(folder)
            made = sign(folder, private_key)
            self.store.upload(f"{at}/{SIGNATURE}", made)

    def diff(self, name: str, before: int, after: int) -> list[Change]:
        """What differs between two versions, by what they say of themselves."""
        return changes(self.manifest(name, before), self.manifest(name, after))

    def export(self, reference: Reference | str, destination: Path, to: Literal["folder", "onnx"] = "folder") -> Path:
        """Copy a version's artifact to a new folder, or write its graph alone to an .onnx file. Raises ConfigError."""
        return export_artifact(open_artifact(self.fetch(*self.resolve(reference))), destination, to)

    # What was left behind

    def unfinished(self, name: str, older_than: timedelta = _ABANDONED) -> list[int]:
        """Numbers that were claimed that long ago and are no version yet, and deleted ones that still have files."""
        route, versions = self.route(name), set(self.versions(name))
        stored = {int(found[1]) for at in self.store.names(f"models/{name}/versions") if (found := NUMBERED.search(at))}
        since = datetime.now(UTC) - older_than
        return [
            number
            for number in sorted(self._numbers(name) - versions)
            if (number in stored if number in route.deleted else self._claimed_before(name, number, since))
        ]

    def sweep(self, name: str, older_than: timedelta = _ABANDONED) -> list[int]:
        """Give up what is unfinished, remove its files, and return its numbers. Its publisher is then refused."""
        numbers = self.unfinished(name, older_than)
        return [number for number in numbers if self._given_up(name, number)]

    # Inside

    def _require_fit(self, name: str, version: int, before: int | None) -> None:
        """Raises Incompatible when `version` can't answer those who ask `before`."""
        if before is None or before == version or not self._is_committed(name, before):
            return
        reason = obstacle(self.manifest(name, before).signature, self.manifest(name, version).signature)
        if reason:
            raise Incompatible(
                f"{name}@{version} can't take the place of {name}@{before}: {reason}. Those who ask it now would be refused; "
                "if they know, say so: --other-columns"
            )

    def _numbers(self, name: str) -> set[int]:
        return {int(found[1]) for at in self.store.names(f"models/{name}") if (found := NUMBERED.search(at))}

    def _given_up(self, name: str, number: int) -> bool:
        """Delete an unfinished number, unless it was finished meanwhile.

        A publisher commits and then looks at the route; we change the route and then look for the commit. One sees the other.
        """
        deleted = number in self.route(name).deleted
        if not deleted:
            self.edit(
                name, lambda route: route if self._is_committed(name, number) else route.without(number), why="not finished"
            )
            if self._is_committed(name, number):
                self.edit(name, lambda route: route.restored(number), why="finished after all")
                return False
        self._clear(name, number)
        return True

    def _is_committed(self, name: str, number: int) -> bool:
        return self.store.read(f"{version_folder(name, number)}/{FILENAME}", MANIFEST_LIMIT_BYTES) is not None

    def _claimed_before(self, name: str, number: int, since: datetime) -> bool:
        claim = self.claim(name, number)
        return claim is None or datetime.fromisoformat(claim.at) <= since

    def _route(self, name: str, number: int) -> Route:
        data = self.store.read(f"models/{name}/route/{number}.json", _ROUTE_LIMIT_BYTES)
        return self._decoded(name, number, data or b"")

    def _decoded(self, name: str, number: int, data: bytes) -> Route:
        try:
            return msgspec.json.decode(data, type=Route)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{self.store.url}/models/{name}/route/{number}.json can't be read: {error}") from error

    def _manifest_bytes(self, name: str, version: int) -> bytes:
        data = self.store.read(f"{version_folder(name, version)}/{FILENAME}", MANIFEST_LIMIT_BYTES)
        if data is None:
            raise NotFound(f"model '{name}' has no version {version} in {self.store.url}", code="unknown_version")
        return data

    def _download(self, name: str, version: int, data: bytes, folder: Path) -> None:
        at = version_folder(name, version)
        for file, described in decode_manifest(data, f"{self.store.url}/{at}").files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            self.store.download(f"{at}/{file}", folder / file, described.size_bytes)
        (folder / FILENAME).write_bytes(data)

    def _download_signature(self, name: str, version: int, folder: Path) -> None:
        """It may come, or change, long after the version itself, and is verified before it is believed."""
        signature = self.store.read(f"{version_folder(name, version)}/{SIGNATURE}", SIGNATURE_LIMIT_BYTES)
        if signature is not None:
            with tempfile.NamedTemporaryFile(dir=folder.parent, delete=False) as made:
                made.write(signature)
            Path(made.name).replace(folder / SIGNATURE)

    def _checked(self, name: str, version: int, public_key: Path | None) -> Checked:
        try:
            with tempfile.TemporaryDirectory(prefix="salver-verify-") as scratch:
                folder = Path(scratch) / name
                folder.mkdir()
                self._download(name, version, self._manifest_bytes(name, version), folder)
                open_artifact(folder)
                if public_key is not None:
                    self._download_signature(name, version, folder)
                    verify(folder, public_key)
        except SalverError as error:
            return Checked(name, version, error.message)
        return Checked(name, version)

    def _clear(self, name: str, version: int) -> None:
        """Remove a version's files, the manifest first: without it the rest is none."""
        names = self.store.names(version_folder(name, version))
        self.store.remove(sorted(names, key=lambda at: not at.endswith(f"/{version}/{FILENAME}")))
