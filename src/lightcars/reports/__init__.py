"""Plots of runs and predictions, and the report: one HTML page about one run or several."""

from lightcars.reports.pictures import draw_activation_map, draw_curves, draw_prediction
from lightcars.reports.run_metrics import Comparison, RunMetrics
from lightcars.reports.write import Report, report, write_report

__all__ = [
    "Comparison",
    "Report",
    "RunMetrics",
    "draw_activation_map",
    "draw_curves",
    "draw_prediction",
    "report",
    "write_report",
]
