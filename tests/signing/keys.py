"""Keys and certificates of tests, made on the spot."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_key(folder: Path, name: str = "acme", password: bytes | None = None) -> tuple[Path, Path]:
    """A private key and its public key, in files."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    private.write_bytes(_private(key, password))
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def make_certificate(folder: Path, name: str, root: Path | None = None) -> tuple[Path, Path, Path]:
    """A private key, a certificate for signing, and the root that issued it: a new one, or that of an earlier call."""
    folder.mkdir(parents=True, exist_ok=True)
    root = root or folder / "root.pem"
    root_key_file = root.with_suffix(".key")
    if not root.exists():
        root_key = ec.generate_private_key(ec.SECP256R1())
        root.write_bytes(_certificate("Acme Root", root_key, "Acme Root", root_key, is_root=True))
        root_key_file.write_bytes(_private(root_key, None))
    issuer = serialization.load_pem_private_key(root_key_file.read_bytes(), None)
    assert isinstance(issuer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    private, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    private.write_bytes(_private(key, None))
    certificate.write_bytes(_certificate(name, key, "Acme Root", issuer, is_root=False))
    return private, certificate, root


def _private(key: ec.EllipticCurvePrivateKey, password: bytes | None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, is_root: bool
) -> bytes:
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=not is_root,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_root,
        crl_sign=is_root,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(usage, critical=True)
    )
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
