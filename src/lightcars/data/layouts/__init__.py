"""Reading data sets on disk: which layout a folder has, and what it contains. No torch.

The layouts are rows of one table, `LAYOUTS`; each is a module here, with `recognizes` and `read`.
"""

from lightcars.data.layouts.cut import VALIDATION_FRACTION, split_stratified, with_validation
from lightcars.data.layouts.find import LAYOUTS, LAYOUTS_WITH_BOXES, find_data
from lightcars.data.layouts.folders import CLASSES_FILE
from lightcars.data.records import Box, DatasetRecords, Sample, Split

__all__ = [
    "CLASSES_FILE",
    "LAYOUTS",
    "LAYOUTS_WITH_BOXES",
    "VALIDATION_FRACTION",
    "Box",
    "DatasetRecords",
    "Sample",
    "Split",
    "find_data",
    "split_stratified",
    "with_validation",
]
