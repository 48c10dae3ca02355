"""Markdown tables of the speed results, for README.md and docs/. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.peers import eager_peer
from benchmarks.harness.ratios import OURS, spread
from benchmarks.harness.record import RESULTS, SCRIPTS, command_of, records

MODELS = {"efficientnet_b0": "EfficientNet-B0", "ghostnet_100": "GhostNet 1.0"}
BATCHES = (1, 16)
INT8 = "lightcars int8"
NAMES = {OURS: "`lightcars.optimize`", INT8: "`lightcars.optimize` in int8"}
CASES = {
    "latency_batch1": "1 image",
    "throughput_batch256": "256 images",
    "train_batch128": "training step, 128 images",
}
Records = Mapping[str, Any]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """Format a Markdown table of `texts` text columns, then numbers. Empty number columns are left out."""
    kept = [i for i in range(len(head)) if i < texts or any(row[i] for row in rows)]
    ruler = "".join("---|" if i < texts else "---:|" for i in kept)
    lines = [" | ".join(row[i] for i in kept).replace("|  |", "| |") for row in (head, *rows)]
    first, *others = (f"| {line} |\n".replace("|  |", "| |") for line in lines)
    return "".join((first, f"|{ruler}\n", *others))


def how_fast(found: Records) -> str:
    """Return the speed-up over the eager peer, one row per model and batch size."""
    rows = []
    for model, batch, fused, optimized in deployments(found):
        either = optimized or fused
        eager = eager_peer(model)
        over = optimized.get("eager_over_side", {})
        cells = [over.get(OURS), over.get(INT8)]
        rows.append(
            [
                label_of(model, batch),
                f"{eager} {milliseconds(either, eager)} ms",
                _fused_over(model, fused),
                *(spread(cell) if cell else "" for cell in cells),
            ]
        )
    head = ("", "eager", "`lightcars.fuse`", "`lightcars.optimize`", "`lightcars.optimize` in int8")
    if not rows:
        return not_yet("fuse", "optimize")
    changes = sorted(
        filter(None, (_top1_change(optimized) for *_, optimized in deployments(found))), key=float
    )
    span = " to ".join(dict.fromkeys((changes[0], changes[-1]))) if changes else ""
    int8 = (
        f"\nint8 changes top-1 by {span} points, on images that were not used for calibration.\n"
        if span
        else ""
    )
    return markdown(head, rows) + int8 + origin(found, "fuse", "optimize")


def fused(found: Records) -> str:
    """Return the latency of the fused model, and how many times slower its eager peers are."""
    peers = ("torchvision", "timm", "lightcars eager")
    rows = []
    for model, batch, fused, _ in deployments(found):
        if fused:
            over = fused["ms"]["peer_over_lightcars"]
            ratios = [spread(over[peer]) if peer in over else "" for peer in peers]
            ms = f"{milliseconds(fused, OURS)} ms"
            rows.append([label_of(model, batch), ms, *ratios])
    head = ("", "fused", "torchvision", "timm", "not fused")
    return markdown(head, rows) + origin(found, "fuse") if rows else not_yet("fuse")


def deployed(found: Records) -> str:
    """All sides of `optimize.py`, and how soon an optimized model answers."""
    rows, starts = [], []
    for model, batch, _, optimized in deployments(found):
        if not optimized:
            continue
        label = label_of(model, batch)
        for side in optimized["ms"]["sides"]:
            over = (
                optimized["eager_over_side"].get(side),
                optimized["ms"]["peer_over_lightcars"].get(side),
                optimized["peer_over_int8"].get(side),
            )
            difference = optimized["relative_differences"].get(side)
            differs = "" if difference is None else f"{difference:.2g}"
            row = [label, NAMES.get(side, side), milliseconds(optimized, side)]
            change = _top1_change(optimized) if side == INT8 else ""
            rows.append([*row, *(spread(ratio) if ratio else "" for ratio in over), differs, change])
        starts += [_start(label, side, start) for side, start in optimized["starts"].items()]
    if not rows:
        return not_yet("optimize")
    over = ("eager / side", "side / `optimize`", "side / int8")
    head = ("", "side", "ms", *over, "max. difference", "top-1 change")
    starts_head = ("", "side", "chosen", "first process", "later processes", "of which `import torch`")
    first, second = markdown(head, rows, texts=2), markdown(starts_head, starts, texts=3)
    return f"{first}\n{_calibrated_on(found)}{second}{origin(found, 'optimize')}"


def _calibrated_on(found: Records) -> str:
    """Describe the images that int8 was calibrated and validated on, where they are recorded."""
    for _, _, _, optimized in deployments(found):
        seen = optimized.get("starts", {}).get(INT8, {}).get("first_process", {}).get("photographs")
        if seen is not None:
            fitted = f"calibrated on {seen['fitted']} images of `{seen['folder']}`"
            return (
                f"int8 by NNCF {seen['nncf']}, {fitted}; the change of top-1 is measured on {seen['judged']}"
                " other images, which also select the layers kept in higher precision.\n\n"
            )
    return ""


def _top1_change(optimized: Mapping[str, Any]) -> str:
    """Return the change of top-1 by int8, in points, on images that were not used for calibration."""
    start = optimized.get("starts", {}).get(INT8)
    if start is None:
        return ""
    rows = start["first_process"].get("measurements", ())
    return next((f"{row['top1_change_percent']:+.2f}" for row in rows if row["precision"] == "int8"), "")


def trained(found: Records) -> str:
    """Return the training step in every precision and, where measured, with the allocator's memory kept."""
    names = [name for name in ("training_step", "training_step_memory") if name in found]
    texts = [_trained(found[name]) + origin(found, name) for name in names]
    return "\n".join(texts) or not_yet("training_step")


def _trained(record: Mapping[str, Any]) -> str:
    rows = []
    for model, step in record["results"].items():
        for side in step["ms"]["sides"]:
            row = [MODELS[model], side, milliseconds(step, side)]
            over = step["ms"]["peer_over_lightcars"].get(side)
            mib = f"{step['mib']['sides'][side]['median']:.4g}"
            rows.append([*row, spread(over) if over else "", mib])
    head = ("", "side", "ms", "side / fastest of lightcars", "MiB")
    return markdown(head, rows, texts=2)


def checkpointed(found: Records) -> str:
    """Return memory and time of a training step with and without gradient checkpointing."""
    if "gradient_checkpointing" not in found:
        return not_yet("gradient_checkpointing")
    rows = []
    for model, sides in found["gradient_checkpointing"]["results"].items():
        for precision in ("fp32", "bf16"):
            plain, saving = sides[precision], sides[f"{precision}, checkpointing"]
            row = [f"{MODELS[model]}, {precision}", f"{plain['mib']:,.0f}", f"{saving['mib']:,.0f}"]
            rows.append([*row, f"{saving['processor_ms'] / plain['processor_ms']:.2f}"])
    head = ("", "MiB", "MiB with checkpointing", "CPU time, relative")
    return markdown(head, rows) + origin(found, "gradient_checkpointing")


def outside(found: Records) -> str:
    """Return the share of a fine-tune's step that is spent outside the model."""
    if "finetune_step" not in found:
        return not_yet("finetune_step")
    record = found["finetune_step"]
    rows = []
    for setting, row in record["results"].items():
        workers = int(setting.removeprefix("workers="))
        label = f"{workers} worker{'' if workers == 1 else 's'}" if workers else "no workers"
        ms = (f"{row[name]:.3g}" for name in ("real_ms", "bare_ms"))
        rows.append([label, *ms, f"{row['outside_percent']:.1f} %"])
    head = (
        f"{MODELS[record['model']]}, {record['resolution']} px",
        "step, ms",
        "model only, ms",
        "outside the model",
    )
    return markdown(head, rows) + origin(found, "finetune_step")


def on_gpu(found: Records) -> str:
    """Return all sides and cases of the GPU benchmark."""
    if "gpu" not in found:
        return not_yet("gpu")
    rows = []
    for model, cases in found["gpu"]["results"].items():
        for case, result in cases.items():
            for side, times in result["ms"]["sides"].items():
                over = result["ms"]["peer_over_lightcars"].get(side)
                chosen = f" ({result['chosen'][0]})" if side == OURS and result["chosen"][0] else ""
                label = f"{MODELS[model]}, {CASES[case]}"
                mib = f"{result['reserved_mib']['sides'][side]['median']:.4g}"
                per_second = f"{1000 * result['batch'] / times['median']:,.0f}"
                row = [label, side + chosen, milliseconds(result, side), per_second]
                rows.append([*row, spread(over) if over else "", mib])
    head = ("", "side", "ms", "images/s", "side / lightcars", "MiB")
    return markdown(head, rows, texts=2) + origin(found, "gpu")


def other_machines(folder: Path = RESULTS / "machines") -> str:
    """Return `how_fast` for every folder of results from another machine."""
    found = {path.name: records(path) for path in sorted(folder.glob("*")) if path.is_dir()}
    texts = [f"**{name}**\n\n{how_fast(measured)}" for name, measured in found.items()]
    return "\n".join(texts) or "No other machine has been measured yet.\n"


def not_yet(*names: str, weights: str | None = None) -> str:
    """Return the commands that measure the missing results, of the weights, instead of a table."""
    option = "" if weights is None else f" --weights {weights}"
    commands = " and ".join(f"`{command_of(name)}{option}`" for name in names)
    return f"Not measured yet: run {commands}.\n"


def deployments(found: Records) -> Iterator[tuple[str, int, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield models and batch sizes with their results of `fuse` and `optimize`, empty where missing."""
    for model in MODELS:
        for batch in BATCHES:
            fused, optimized = (
                found.get(name, {}).get("results", {}).get(model, {}).get(f"batch{batch}", {})
                for name in ("fuse", "optimize")
            )
            if fused or optimized:
                yield model, batch, fused, optimized


def label_of(model: str, batch: int) -> str:
    """Return the label in tables and plots."""
    return f"{MODELS[model]}, {'1 image' if batch == 1 else f'{batch} images'}"


def milliseconds(result: Mapping[str, Any], side: str) -> str:
    """Return the median time of a side for a table."""
    value = result["ms"]["sides"][side]["median"]
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _fused_over(model: str, fused: Mapping[str, Any]) -> str:
    return spread(fused["ms"]["peer_over_lightcars"][eager_peer(model)]) if fused else ""


def _start(label: str, side: str, start: Mapping[str, Any]) -> list[str]:
    first, second = start["first_process"], start["second_process"]
    took = (first["first_answer_s"], second["first_answer_s"], second["of_that_import_torch_s"])
    return [label, NAMES[side], f"{first['engine']} {first['precision']}", *(f"{s:.3g} s" for s in took)]


def origin(found: Records, *names: str) -> str:
    """Return the conditions of a measurement: script, date, machine, versions, rounds."""
    return "\n" + "".join(_line(name, found[name]) for name in names if name in found)


def _line(name: str, record: Mapping[str, Any]) -> str:
    packages = ("torch", "torchvision", "timm", "onnxruntime", "openvino")
    versions = [
        f"{package} {record['versions'][package]}" for package in packages if record["versions"].get(package)
    ]
    machine = f"{record['machine']['cpu']}, {record['machine']['cores']} cores"
    on = f"{record['gpu']['name']}, CUDA {record['gpu']['cuda']}; {machine}" if "gpu" in record else machine
    disturbed = record.get("measurements_disturbed")
    noisy = f"; {disturbed} measurements disturbed by other processes" if disturbed else ""
    fresh = "; random weights" if record.get("learnt") == [] else ""
    number = record.get("rounds", 0)
    rounds = f"; {number} round{'s' if number > 1 else ''}" if number else ""
    script = SCRIPTS[record.get("benchmark", name)]
    return f"`{script}`, {record['date']}: {on}; {', '.join(versions)}{rounds}{fresh}{noisy}.\n"
