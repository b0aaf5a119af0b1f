"""How to use a model, as lines to copy."""

from msgspec import Struct

from stages.site.view import ModelView

USE = {
    "text-ranking": 'print(model.rank("how do plants eat?", ["At noon.", "Plants make food from light."]))',
    "text-classification": 'print(model.predict([("A man plays.", "Someone plays.")]))',
}
OTHER_USE = 'print(model.predict([("one text", "another")]))'


class Snippet(Struct, frozen=True, kw_only=True):
    """A tab: its name, its language, what to say before it, and its lines."""

    name: str
    language: str
    note: str
    code: str


def snippets(model: ModelView) -> tuple[Snippet, ...]:
    """The package `artificer`, sentence-transformers on the same files, and a request to the example service."""
    use = USE.get(model.task, OTHER_USE)
    found = [
        Snippet(
            name="artificer",
            language="python",
            note="Loads the fastest execution that is proven for the machine it runs on.",
            code=f'import artificer\n\nmodel = artificer.load("{model.name}")\n{use}',
        )
    ]
    if (peer := _peer(model, use)) is not None:
        found.append(peer)
    if model.task == "text-ranking":
        found.append(_curl(model))
    return tuple(found)


def _peer(model: ModelView, use: str) -> Snippet | None:
    """A published graph in sentence-transformers: OpenVINO's plain one, else the plain ONNX export."""
    passed = {variant.id: variant for variant in model.variants if variant.status == "passed" and variant.files}
    variant = passed.get("openvino") or passed.get("onnx")
    if variant is None:
        return None
    graphs = [each.path for each in variant.files if each.path.endswith((".xml", ".onnx"))]
    if not graphs:
        return None
    settings = f'"file_name": "{graphs[0].rpartition("/")[2]}"'
    if variant.runtime == "openvino":
        settings += ', "ov_config": {"INFERENCE_PRECISION_HINT": "f32"}'
    code = (
        "from sentence_transformers import CrossEncoder\n\n"
        f'model = CrossEncoder(\n    "{model.name}",\n    backend="{variant.runtime}",\n'
        f"    model_kwargs={{{settings}}},\n)\n{use}"
    )
    note = f"The same files, {variant.id}."
    if variant.runtime == "openvino":
        note += " Without the hint, OpenVINO computes in bf16 on CPUs that have it."
    return Snippet(name="sentence-transformers", language="python", note=note, code=code)


def _curl(model: ModelView) -> Snippet:
    code = (
        f"ARTIFICER_MODEL={model.name} uvicorn app:app --app-dir examples/service --port 8080 &\n"
        "curl localhost:8080/rerank -H 'content-type: application/json' \\\n"
        '  -d \'{"query": "how do plants eat?", "documents": ["At noon.", "Plants make food from light."]}\''
    )
    return Snippet(name="curl", language="shell", note="The example service in examples/service.", code=code)
