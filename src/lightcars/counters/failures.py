"""Say in one line why a model could not be counted: the cause, the module, and what to do."""

from __future__ import annotations

import re
from types import TracebackType

from torch import nn

from lightcars.errors import CountingError

_CAUSES = (
    (
        r"missing \d+ required (positional|keyword-only) argument",
        "it takes more inputs than it was given",
        "give all of them as inputs, a tuple or a dict of tensors or shapes",
    ),
    (
        r"indices.*(Long|Int|int)",
        "an embedding takes integers",
        "give its input as a tensor, such as inputs=torch.zeros(1, 16, dtype=torch.long)",
    ),
    (
        r"^'?(quantized|mkldnn_prepacked|onednn)[:.]",
        "quantized operators cannot run without their values",
        "count the model before its quantization",
    ),
    (
        r"meta tensor|nonzero|_unique|_local_scalar_dense|unallocated storage|no data|on CPU\.",
        "its forward reads the values of a tensor, and only shapes are known",
        "count the part of the model whose operations do not depend on values",
    ),
    (
        r"attempted to run this operator with Meta tensors|from the 'Meta' backend|on meta device",
        "it runs an operator that has no implementation for shapes alone",
        "count the part of the model without it",
    ),
    (
        r"on the same device|at least two devices|on device|is on (meta|cpu|cuda)",
        "its forward creates tensors on a fixed device",
        "use the device of the input there (x.device)",
    ),
)
_ANY_CAUSE = "it fails on this input", "check input_size or inputs"
_LONGEST_REASON = 200


def counting_error(error: Exception, model: nn.Module) -> CountingError:
    """Return the error to raise in place of what a model raised while it was counted."""
    reason = str(error).strip().partition("\n")[0]
    cause, advice = next(
        (known[1:] for known in _CAUSES if re.search(known[0], reason)),
        _ANY_CAUSE,
    )
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[:_LONGEST_REASON]}..."
    return CountingError(
        f"{type(model).__name__} cannot be counted: {cause}{_place(error.__traceback__, model)}"
        f" ({type(error).__name__}: {reason}); {advice}."
    )


def _place(traceback: TracebackType | None, model: nn.Module) -> str:
    """Name the innermost module of the model whose forward was running."""
    names = {id(module): name for name, module in model.named_modules() if name}
    place = ""
    while traceback is not None:
        module = traceback.tb_frame.f_locals.get("self")
        if id(module) in names:
            place = f", in {names[id(module)]} ({type(module).__name__})"
        traceback = traceback.tb_next
    return place
