"""A bill of materials of a published folder: CycloneDX 1.6 in JSON, with the model card of its ML-BOM.

Everything comes from the manifest, so that the same manifest gives the same bytes: no time, no random number.
"""

import json
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from artificer.errors import MissingRuntimeError
from artificer.exporting.ml_model_card import model_card
from artificer.manifest import MANIFEST_FILE, DatasetInfo, FileEntry, Manifest, Variant, canonical_json

if TYPE_CHECKING:
    from cyclonedx.model import HashType, Property
    from cyclonedx.model.component import Component

SPECIFICATION = "1.6"
MODEL = "model"


def bill_of_materials(manifest: Manifest, manifest_sha256: str) -> bytes:
    """The document. `manifest_sha256` is the hash of the manifest's own bytes.

    Raises:
        MissingRuntimeError: the extra `[bom]` is not installed.
    """
    try:
        from cyclonedx.model.bom import Bom, BomMetaData
        from cyclonedx.model.dependency import Dependency
        from cyclonedx.model.tool import ToolRepository
        from cyclonedx.output.json import JsonV1Dot6
    except ModuleNotFoundError as error:
        raise MissingRuntimeError(f"A bill of materials needs {error.name}: pip install 'artificer[bom]'.") from None
    model = _model(manifest, manifest_sha256)
    parts = [_base_model(manifest), *map(_variant, _passed(manifest)), *_data_sets(manifest)]
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, f"artificer manifest {manifest_sha256}"),
        metadata=BomMetaData(component=model, tools=ToolRepository(components=_tools(manifest))),
        components=parts,
        dependencies=[Dependency(model.bom_ref, [Dependency(part.bom_ref) for part in parts])],
    )
    document: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["metadata"]["timestamp"]
    # The library has no model cards yet.
    document["metadata"]["component"]["modelCard"] = model_card(manifest, [_ref(data) for data in _used(manifest)])
    return canonical_json(document)


def _passed(manifest: Manifest) -> list[Variant]:
    return [variant for variant in manifest.variants if variant.status == "passed"]


def _model(manifest: Manifest, manifest_sha256: str) -> "Component":
    """The published folder, with the files that all variants share."""
    from cyclonedx.model.component import Component, ComponentType

    own = FileEntry(path=MANIFEST_FILE, size=0, sha256=manifest_sha256)
    return Component(
        name=manifest.name,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=MODEL,
        version=f"sha256:{manifest_sha256}",
        hashes=[_sha256(manifest_sha256)],
        licenses=_licenses(manifest.source.license),
        components=_files(MODEL, [*manifest.files, *manifest.own_documents(), own]),
        properties=[_property("slug", manifest.slug), _property("manifest:schema_version", manifest.schema_version)],
    )


def _base_model(manifest: Manifest) -> "Component":
    """The checkpoint that was converted."""
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    source = manifest.source
    purl = None
    if source.kind == "hub":
        namespace, _, name = source.location.rpartition("/")
        purl = PackageURL("huggingface", namespace or None, name, source.revision)
    return Component(
        name=source.location,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref="base-model",
        version=source.revision,
        purl=purl,
        licenses=_licenses(source.license),
        components=_files("base-model", source.files),
        properties=[_property("role", "base model")],
    )


def _variant(variant: Variant) -> "Component":
    """One graph with its sidecars, how it was made, and with which versions."""
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        name=variant.id,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"variant:{variant.id}",
        version=f"sha256:{variant.digest}",
        components=_files(f"variant:{variant.id}", variant.files),
        properties=[
            _property("role", "variant"),
            _property("runtime", variant.runtime),
            _property("precision_class", variant.precision_class),
            _property("recipe", json.dumps(variant.recipe, sort_keys=True)),
            *(_property(f"tool:{name}", version) for name, version in sorted(variant.tools.items())),
        ],
    )


def _used(manifest: Manifest) -> dict[str, tuple[DatasetInfo, list[str]]]:
    """The data sets by the hash of their rows, with what each was used for: one may serve for both."""
    found: dict[str, tuple[DatasetInfo, list[str]]] = {}
    for data, use in ((manifest.evaluation, "evaluation"), (manifest.calibration, "calibration")):
        found.setdefault(f"{data.name}:{data.sha256}", (data, []))[1].append(use)
    return found


def _data_sets(manifest: Manifest) -> Iterable["Component"]:
    from cyclonedx.model.component import Component, ComponentType

    for key, (data, uses) in _used(manifest).items():
        yield Component(
            name=data.name,
            type=ComponentType.DATA,
            bom_ref=_ref(key),
            version=data.revision,
            external_references=_web(data),
            hashes=[_sha256(data.sha256)],
            properties=[_property("role", use) for use in uses] + [_property("rows", str(data.rows))],
        )


def _web(data: DatasetInfo) -> list[Any]:
    """Where the set is on the Hub."""
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri

    if data.dataset is None:
        return []
    url = f"https://huggingface.co/datasets/{data.dataset}/tree/{data.revision}"
    return [ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(url))]


def _ref(key: str) -> str:
    return f"data:{key}"


def _tools(manifest: Manifest) -> list["Component"]:
    """Each version of each package that made a variant or the reference."""
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    reference = manifest.reference
    used = {("torch", reference.version), ("transformers", reference.transformers_version)}
    if reference.sentence_transformers_version:
        used.add(("sentence-transformers", reference.sentence_transformers_version))
    used |= {item for variant in _passed(manifest) for item in variant.tools.items()}
    return [
        Component(
            name=name,
            type=ComponentType.LIBRARY,
            bom_ref=f"tool:{name}@{version}",
            version=version,
            purl=PackageURL("pypi", None, name.replace("_", "-").lower(), version),
        )
        for name, version in sorted(used)
    ]


def _files(owner: str, entries: Iterable[FileEntry]) -> list["Component"]:
    from cyclonedx.model.component import Component, ComponentType

    return [
        Component(
            name=entry.path,
            type=ComponentType.FILE,
            bom_ref=f"{owner}/{entry.path}",
            hashes=[_sha256(entry.sha256)],
        )
        for entry in sorted(entries, key=lambda entry: entry.path)
    ]


def _licenses(license: str) -> list[Any]:
    """An SPDX id where it is one, in its own spelling, else the name as it is."""
    from cyclonedx.model.license import DisjunctiveLicense
    from cyclonedx.spdx import fixup_id

    known = fixup_id(license)
    return [DisjunctiveLicense(id=known) if known else DisjunctiveLicense(name=license)]


def _sha256(value: str) -> "HashType":
    from cyclonedx.model import HashAlgorithm, HashType

    return HashType(alg=HashAlgorithm.SHA_256, content=value)


def _property(name: str, value: str) -> "Property":
    from cyclonedx.model import Property

    return Property(name=f"artificer:{name}", value=value)
