"""The proof set of a package: texts, and what the reference returns for them, so that any machine can prove executions.

A file of compressed JSON. Equal sets give equal bytes, since the header of the compressed file is fixed.
"""

import zlib

import msgspec
from msgspec import Struct

from artificer.errors import ManifestError
from artificer.manifest.versions import UNREADABLE
from artificer.proving.measurement import LengthTexts

PROOF_FILE = "proof-set.json.gz"
PRESET = "proof-set"
"""Benchmark preset and workload of figures of speed that were measured on its texts."""
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"  # gzip, no name, no time, smallest, unknown system (RFC 1952)
_MOST_BYTES = 256 << 20  # when it is not compressed


class ProofSet(Struct, frozen=True, kw_only=True):
    """`outputs[i]` are the reference's for `texts[i]`, one number per label. `lengths` are texts of many lengths, with
    their outputs."""

    texts: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[float, ...], ...]
    lengths: LengthTexts


def packed(found: ProofSet) -> bytes:
    """The bytes of the file."""
    data = msgspec.json.encode(found, order="sorted")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(data) + deflate.flush()
    return _HEADER + body + zlib.crc32(data).to_bytes(4, "little") + (len(data) & 0xFFFFFFFF).to_bytes(4, "little")


def unpacked(data: bytes) -> ProofSet:
    """The proof set of a file. Raises ManifestError for another file."""
    try:
        inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        text = inflate.decompress(data, _MOST_BYTES)
        if not inflate.eof:
            raise ManifestError(f"{PROOF_FILE}: it is cut off, or larger than {_MOST_BYTES} bytes.")
        found = msgspec.json.decode(text, type=ProofSet)
    except (zlib.error, *UNREADABLE) as error:
        raise ManifestError(f"{PROOF_FILE}: not a proof set: {error}.") from None
    sizes = {len(found.texts) - len(found.outputs)}
    sizes |= {len(found.lengths.texts) - len(each) for each in (found.lengths.lengths, found.lengths.outputs)}
    if sizes != {0} or not found.texts:
        raise ManifestError(f"{PROOF_FILE}: expected outputs for each text, and at least one text.")
    return found
