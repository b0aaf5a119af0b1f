"""Making what a row needs, below `.compat/`: the wheel, a published folder, and an environment of its own."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.compat.matrix import Row

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".compat"
EXTRAS = "onnx,openvino,hub"
VARIANTS = ("onnx", "openvino")


class CommandError(Exception):
    """A command failed; the text is the end of what it printed."""


def run(command: list[str | Path], **environment: str) -> str:
    """What a command prints. Raises CommandError."""
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CommandError(f"{' '.join(map(str, command[:4]))} …:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def build_wheel() -> Path:
    """The wheel of this checkout."""
    out = FOLDER / "wheel"
    shutil.rmtree(out, ignore_errors=True)
    run([sys.executable, "-m", "build", "--wheel", "--outdir", out])
    return next(out.glob("*.whl"))


def build_published() -> Path:
    """The demo reranker as a published folder, with the two float32 variants that every machine runs.

    Built again when its wheel or its pins change.
    """
    script, checkpoint = ROOT / "tests/runtime/build_folder.py", ROOT / "registry/demo/reranker"
    sources = (script, ROOT / "constraints.txt", checkpoint / "model.safetensors")
    key = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    out = FOLDER / f"published-{key}"
    if (out / "manifest.json").exists():
        return out
    shutil.rmtree(out, ignore_errors=True)
    run([sys.executable, script, checkpoint, out, *VARIANTS], PYTHONPATH=f"{ROOT / 'src'}{os.pathsep}{ROOT}")
    return out


def make_environment(row: Row, python: Path, wheel: Path) -> Path:
    """The interpreter of the row's environment, with the wheel and the row's pins. What is there already is kept."""
    folder = FOLDER / "environments" / row.name
    own = folder / "bin" / "python"
    if not own.exists():
        run([python, "-m", "venv", folder])
    pip: list[str | Path] = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--upgrade", f"{wheel}[{EXTRAS}]", *row.pins])
    # The version of the wheel stays the same while its contents change.
    run([*pip, "--force-reinstall", "--no-deps", wheel])
    run([own, "-m", "pip", "check", "--disable-pip-version-check"])
    return own
