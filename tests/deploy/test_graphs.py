"""Graphs for other engines: their inputs, folded norms, the operators that engines are quick with."""

import copy
import logging
import threading
from collections import Counter

import pytest
import torch
from torch import nn

from lightcars import efficientnet, ghostnet
from lightcars.deploy.conversion import conversion_errors
from lightcars.deploy.graphs import (
    for_export,
    program_to_onnx,
    program_to_openvino,
    to_onnx,
    to_openvino,
    to_program,
)
from lightcars.deploy.packages import quietly
from lightcars.errors import ConfigError, ExportError
from tests.deploy.conftest import settle

SMALL = {"efficientnet": {"width": 0.1, "depth": 0.2}, "ghostnet": {"width": 0.1, "out_channels": 16}}


@pytest.fixture(scope="module")
def program():
    return to_program(settle(ghostnet(num_classes=5, **SMALL["ghostnet"])))


@pytest.fixture(scope="module")
def silu_program():
    return to_program(settle(efficientnet(num_classes=5, **SMALL["efficientnet"])), resolution=64)


def onnx_shape(value):
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


def test_onnx_is_named_folded_and_says_nothing_of_this_machine(program):
    proto = program_to_onnx(program)
    assert [value.name for value in proto.graph.input] == ["images"]
    assert [value.name for value in proto.graph.output] == ["logits"]
    assert onnx_shape(proto.graph.input[0]) == ["batch", 3, "height", "width"]
    assert onnx_shape(proto.graph.output[0]) == ["batch", 5]
    kinds = Counter(node.op_type for node in proto.graph.node)
    assert kinds["BatchNormalization"] == 0
    assert kinds["HardSigmoid"] == 7
    assert kinds["Conv"] == 95
    assert str(__file__).rpartition("/tests/")[0].encode() not in proto.SerializeToString()
    assert b"stack_trace" not in proto.SerializeToString()
    assert [opset.version for opset in proto.opset_import if opset.domain == ""] == [18]


def test_openvino_is_named_folded_and_has_its_own_operators(program, silu_program):
    model = program_to_openvino(program)
    assert [port.get_names() for port in (*model.inputs, *model.outputs)] == [{"images"}, {"logits"}]
    assert str(model.inputs[0].partial_shape) == "[?,3,?,?]"
    kinds = Counter(node.get_type_name() for node in model.get_ops())
    assert kinds["BatchNormInference"] == 0
    assert kinds["HSigmoid"] == 7
    fixed = program_to_openvino(silu_program)
    assert str(fixed.inputs[0].partial_shape) == "[?,3,64,64]"
    kinds = Counter(node.get_type_name() for node in fixed.get_ops())
    assert kinds["BatchNormInference"] == 0
    assert kinds["Swish"] > kinds["Sigmoid"] > 0


def test_openvino_twice_in_one_process_is_quiet(silu_program, caplog, recwarn):
    program_to_openvino(silu_program)
    program_to_openvino(silu_program)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert list(recwarn) == []


def test_a_fixed_batch_and_size():
    model = settle(ghostnet(num_classes=5, img_channels=1, **SMALL["ghostnet"]))
    assert onnx_shape(to_onnx(model, batch=4, resolution=40).graph.input[0]) == [4, 1, 40, 40]
    assert str(to_openvino(model, batch=1, resolution=32).inputs[0].partial_shape) == "[1,1,32,32]"


def test_the_model_stays_as_it_is():
    model = ghostnet(num_classes=5, **SMALL["ghostnet"]).to(memory_format=torch.channels_last)
    model.blocks[0].eval()
    before, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    ready = for_export(model)
    assert ready is not model
    assert not ready.training
    assert all(tensor.is_contiguous() for tensor in ready.state_dict().values())
    to_program(model, resolution=32)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.stem.conv.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_model_that_is_ready_is_not_copied():
    model = ghostnet(num_classes=5, **SMALL["ghostnet"]).eval()
    assert for_export(model) is model
    assert for_export(torch.compile(model)) is model
    half = for_export(model.to(torch.bfloat16))
    assert {parameter.dtype for parameter in half.parameters()} == {torch.float32}
    assert isinstance(half, nn.Module)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 0}, "batch must be a whole number of at least 1"),
        ({"batch": 1.5}, "batch must be"),
        ({"resolution": 31}, "resolution must be a whole number of at least 32"),
        ({"resolution": 0}, "resolution must be a whole number of at least 32"),
    ],
)
def test_nonsense(settings, message):
    with pytest.raises(ConfigError, match=message):
        to_program(ghostnet(num_classes=5, **SMALL["ghostnet"]), **settings)


def test_an_old_opset(silu_program):
    with pytest.raises(ConfigError, match="opset must be a whole number of at least 18"):
        program_to_onnx(silu_program, opset=17)


def test_what_a_converter_raises_is_one_line():
    def convert():
        raise NotImplementedError("\n  no aten::foo\nand a long\ntrace")

    wanted = r"^ONNX does not support this model: no aten::foo$"
    with pytest.raises(ExportError, match=wanted), conversion_errors("ONNX"):
        convert()
    with pytest.raises(ExportError, match="OpenVINO does not support this model: ValueError"):  # noqa: SIM117
        with conversion_errors("OpenVINO"):
            raise ValueError


def test_logging_of_several_threads_is_as_before():
    inside, outside = threading.Barrier(2), threading.Barrier(2)

    def first():
        with quietly():
            inside.wait()
        outside.wait()

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait()
    with quietly():
        outside.wait()
        assert logging.root.manager.disable == logging.WARNING
    thread.join()
    assert logging.root.manager.disable == 0


def test_only_modules_with_weights_are_exported():
    with pytest.raises(ExportError, match=r"export takes a torch\.nn\.Module, not a str"):
        to_program("ghostnet_100")
    with pytest.raises(ExportError, match="the model has no weights"):
        to_program(ghostnet(device="meta"))


def test_logging_is_as_before():
    with quietly():
        assert not logging.getLogger("onnxscript").isEnabledFor(logging.WARNING)
        assert logging.getLogger("onnxscript").isEnabledFor(logging.ERROR)
    assert logging.root.manager.disable == 0
