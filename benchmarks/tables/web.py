"""Markdown table of the web page in a browser, for docs/web.md. Imports no torch."""

from __future__ import annotations

from benchmarks.tables.speed import Records, markdown, not_yet, origin

NAME = "in_browser"


def in_browser(found: Records) -> str:
    """Return accuracy, latencies and sizes for each way to store the weights."""
    record = found.get(NAME)
    if record is None:
        return not_yet(NAME)
    rows = [
        [
            f"`{storage}`",
            f"{row['top1_percent']:.2f} % ({row['python_top1_percent']:.2f} %)",
            f"{row['same_class_percent']:.2f} %",
            f"{row['first_answer_s']['median']:.2f} s",
            f"{row['answer_ms']['median']:.0f} ms",
            f"{row['model_bytes'] / 1e6:.1f} MB",
            f"{(row['page_bytes'] + row['model_bytes'] + row['runtime_bytes']) / 1e6:.1f} MB",
        ]
        for storage, row in record["results"].items()
    ]
    head = ("weights", "top-1 (`predict`)", "same class", "first answer", "later answers", "model", "folder")
    number = record["photographs"]
    return (
        f"{markdown(head, rows)}\nMeasured with `{record['weights']}` on {number} photographs of `val`."
        f" Latencies are medians of {record['rounds']} first answers, from opening the page in a new profile,"
        f" and of {number} later answers, from choosing a file until its answer is shown. Chromium"
        f" {record['chromium']} without a GPU, onnxruntime-web {record['runtime']}.\n{origin(found, NAME)}"
    )
