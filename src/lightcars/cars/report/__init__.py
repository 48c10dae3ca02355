"""Pictures of runs and predictions, and the report: one page with all that a run or several show."""

from lightcars.cars.report.figures import Comparison, RunFigures
from lightcars.cars.report.pictures import draw_activation_map, draw_curves, draw_prediction
from lightcars.cars.report.write import Report, report, write_report

__all__ = [
    "Comparison",
    "Report",
    "RunFigures",
    "draw_activation_map",
    "draw_curves",
    "draw_prediction",
    "report",
    "write_report",
]
