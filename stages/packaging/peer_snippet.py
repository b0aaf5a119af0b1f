"""How sentence-transformers loads a published variant, as a snippet for the model card and for pull requests.

Its OpenVINO backend works beside today's releases. Its ONNX backend is optimum-onnx, which needs transformers 4.
"""

from collections.abc import Mapping, Sequence

from artificer.manifest import Manifest, PrecisionClass, Runtime, Variant

_CLASSES: tuple[PrecisionClass, ...] = ("fp32", "half")
# By the name of the backend, which is ours and sentence-transformers' alike, the preferred one first: what to install,
# and what to give the model beside the file. Without the hint, OpenVINO computes in bfloat16 on CPUs that have it.
_INSTALL: Mapping[Runtime, str] = {
    "openvino": 'pip install sentence-transformers "optimum-intel[openvino]"',
    "onnx": 'pip install "sentence-transformers[onnx]==5.7.0"',
}
_SETTINGS: Mapping[Runtime, str] = {"openvino": ', "ov_config": {"INFERENCE_PRECISION_HINT": "f32"}'}
_ONNX_NEEDS = (
    "The ONNX backend is optimum-onnx, which needs transformers 4: it works with sentence-transformers up to 5.7, not "
    "with 6."
)


def peer_snippet(
    manifest: Manifest,
    repo: str,
    *,
    revision: str | None = None,
    arguments: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
) -> str:
    """A Python snippet that loads the example variant, and a sentence on the other backend.

    `arguments` are what sentence-transformers needs beside the files; `names` are other names of the files in the repo.
    """
    found = _examples(manifest)
    if not found:
        return "No variant in float32 passed, so there is none to load here with the scores of the reference."
    backend, variant = next(iter(found.items()))
    at_revision = f'\n    revision="{revision}",' if revision else ""
    file_name = _name(variant, names)
    more = "".join(f",\n    {argument}" for argument in arguments)
    code = (
        "```python\n"
        f"from sentence_transformers import CrossEncoder  # {_INSTALL[backend]}\n\n"
        "model = CrossEncoder(\n"
        f'    "{repo}",{at_revision}\n    backend="{backend}",\n'
        f'    model_kwargs={{"file_name": "{file_name}"{_SETTINGS.get(backend, "")}}}{more},\n'
        ")\n"
        'model.predict([("how do plants eat?", "By photosynthesis.")])\n'
        "```"
    )
    if "onnx" not in found:
        return code
    if backend == "onnx":
        return f"{code}\n\n{_ONNX_NEEDS}"
    return (
        f'{code}\n\nThe ONNX variants load with `backend="onnx"` and a `file_name` such as '
        f'`"{_name(found["onnx"], names)}"`, in an environment of its own: `{_INSTALL["onnx"]}`. {_ONNX_NEEDS}'
    )


def _examples(manifest: Manifest) -> dict[Runtime, Variant]:
    """The last variant in float32, else in half precision, of each backend that is known there and has one."""
    return {
        backend: variants[-1]
        for backend in _INSTALL
        if (
            variants := [
                variant
                for wanted in reversed(_CLASSES)
                for variant in manifest.variants
                if variant.graph and variant.runtime == backend and variant.precision_class == wanted
            ]
        )
    }


def _name(variant: Variant, names: Mapping[str, str] | None) -> str:
    graph = variant.graph or ""
    return (names or {}).get(graph, graph)
