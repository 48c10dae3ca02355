"""Markdown tables of the speed of further families, for docs/benchmarks.md. Imports no torch."""

from __future__ import annotations

from benchmarks.harness.ratios import OURS, spread
from benchmarks.tables.speed import Records, markdown, milliseconds, not_yet, origin

ANY, OPTIMIZED, TRAINED = "optimize_any", "optimize_families", "training_step_families"
OPENVINO = "timm openvino"
"""Side of `optimize.py`; the model is torchvision's where timm has none."""


def optimized(found: Records) -> str:
    """Return one row per model and batch: `optimize` beside the eager peer and OpenVINO."""
    record = found.get(OPTIMIZED)
    if record is None:
        return not_yet(OPTIMIZED)
    rows = []
    for model, batches in record["results"].items():
        for batch, result in batches.items():
            over, eager = result["ms"]["peer_over_lightcars"], result["eager"]
            first = result["starts"][OURS]["first_process"]
            number = batch.removeprefix("batch")
            rows.append(
                [
                    f"`{model}`, {number} image{'' if number == '1' else 's'}",
                    f"{first['engine']} {first['precision']}",
                    milliseconds(result, OURS),
                    f"{spread(over[eager])} ({eager})",
                    f"{spread(over[OPENVINO])} ({result['engines_run']})",
                ]
            )
    head = ("", "chosen", "`lightcars.optimize`, ms", "eager / `optimize`", "OpenVINO bf16 / `optimize`")
    return markdown(head, rows, texts=2) + origin(found, OPTIMIZED)


def any_model(found: Records) -> str:
    """Return one row per model and batch: `optimize` on other libraries' models and on fresh weights."""
    record = found.get(ANY)
    if record is None:
        return not_yet(ANY)
    rows = []
    for model, batches in record["results"].items():
        for batch, result in batches.items():
            over, number = result["ms"]["peer_over_lightcars"], batch.removeprefix("batch")
            rows.append(
                [
                    f"`{model}`, {number} image{'' if number == '1' else 's'}",
                    f"{result['chosen']['engine']} {result['chosen']['precision']}",
                    milliseconds(result, OURS),
                    spread(over["eager"]),
                    spread(over["openvino"]),
                    f"{result['relative_differences'][OURS]:.2g}",
                    f"{result['relative_differences']['openvino']:.2g}",
                ]
            )
    head = (
        "",
        "chosen",
        "`lightcars.optimize`, ms",
        "eager / `optimize`",
        "OpenVINO bf16 / `optimize`",
        "max. difference",
        "that of OpenVINO",
    )
    return markdown(head, rows, texts=2) + origin(found, ANY)


def litert(found: Records) -> str:
    """Return one row per file: LiteRT's beside ONNX Runtime's."""
    record = found.get("litert")
    if record is None:
        return not_yet("litert")
    rows = []
    for weights, result in record["results"].items():
        for side, row in result["files"].items():
            change, over = row["top1_change_percent"], result["over_onnxruntime"].get(side)
            rows.append(
                [
                    f"`{weights}`, {side}",
                    f"{row['size_bytes'] / 1e6:.1f} MB",
                    f"{result['ms'][side]['median']:.3g}",
                    "" if over is None else spread(over),
                    f"{row['difference']:.1g}",
                    "" if change is None else f"{change:+.2f}",
                ]
            )
    head = ("", "size", "ms", "side / ONNX Runtime", "max. difference", "top-1 change")
    packages = ", ".join(f"{name} {number}" for name, number in record["packages"].items())
    settings = f"One image, {record['threads']} threads; {packages}"
    return f"{markdown(head, rows)}\n{settings}.\n{origin(found, 'litert')}"


def trained(found: Records) -> str:
    """Return one row per model: the training step beside the peer's, each in its fastest precision."""
    record = found.get(TRAINED)
    if record is None:
        return not_yet(TRAINED)
    rows = [
        [
            f"`{model}`",
            step["fastest"][OURS].removeprefix(f"{OURS} "),
            milliseconds(step, step["fastest"][OURS]),
            f"{spread(step['peer_over_lightcars'])} ({step['fastest']['peer']})",
        ]
        for model, step in record["results"].items()
    ]
    head = ("", "precision", "lightcars, ms", "peer / lightcars")
    settings = f"{record['batch']} images of {record['resolution']} px, {record['threads']} threads"
    return f"{markdown(head, rows, texts=2)}\n{settings}.\n{origin(found, TRAINED)}"
