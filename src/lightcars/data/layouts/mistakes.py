"""What is wrong with folders that are nearly class folders, in one line."""

from __future__ import annotations

from pathlib import Path

from lightcars.data.layouts.folders import images, subfolders


def mistake_in(folder: Path) -> str | None:
    """Return what keeps a folder from being class folders; None if it does not resemble them."""
    folder = _unwrapped(folder)
    inner = subfolders(folder)
    filled = [entry for entry in inner if images(entry)]
    if len(filled) == 1:
        return f"{filled[0]} is the only class folder in {folder}; at least two are needed."
    if not inner and images(folder):
        return without_classes(folder)
    return next(filter(None, map(nested_in, inner)), None)


def without_classes(folder: Path) -> str:
    """Return what is wrong with a folder that should hold class folders and has none."""
    if images(folder):
        return (
            f"{folder} has images but no class folders; move the images of each class into a folder with"
            " the name of the class."
        )
    if not any(folder.iterdir()):
        return f"{folder} is empty; fill it with class folders or remove it."
    return f"{folder} contains no class folders; the copy may be incomplete."


def nested_in(folder: Path) -> str | None:
    """Return what is wrong with a class folder that holds class folders; None if it holds none."""
    inside = [inner for inner in subfolders(folder) if images(inner)]
    if not inside:
        return None
    return (
        f"{folder} contains folders of images (first: {inside[0].name}) instead of images; class folders"
        f" cannot be nested: move them to {folder.parent}, or the images to {folder}."
    )


def _unwrapped(folder: Path) -> Path:
    """Return the folder below folders that hold another folder and nothing else."""
    while True:
        inner = subfolders(folder)
        if len(inner) != 1 or images(folder) or images(inner[0]):
            return folder
        folder = inner[0]
