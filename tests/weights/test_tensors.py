"""Reading tensors: every usual kind of file gives them, every other one a plain error, and no code runs."""

import argparse
import io
import json
import os
import pickle
import struct
import tracemalloc
import warnings
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lightcars.errors import CheckpointError
from lightcars.weights.tensors import PICKLED_SUFFIXES, read_tensors

CPU = torch.device("cpu")


def some_tensors() -> dict[str, Tensor]:
    return {
        "stem.conv.weight": torch.randn(4, 3, 3, 3),
        "stem.norm.num_batches_tracked": torch.tensor(7),
        "classifier.weight": torch.randn(2, 4).half(),
        "classifier.bias": torch.randn(2).bfloat16(),
        "empty": torch.zeros(0, 3),
        "mask": torch.tensor([True, False]),
    }


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def save_zip(content: object, path: Path, protocol: int = 2) -> None:
    torch.save(content, path, pickle_protocol=protocol)


def save_legacy(content: object, path: Path, protocol: int = 2) -> None:
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)


FORMATS = pytest.mark.parametrize("save", [save_zip, save_legacy], ids=["zip", "legacy"])


def assert_refused(path: Path, message: str) -> None:
    """One line that names the file, whatever torch or safetensors had to say."""
    with pytest.raises(CheckpointError, match=message) as error:
        read_tensors(path, CPU)
    text = str(error.value)
    assert str(path) in text
    assert "\n" not in text
    assert text.endswith(".")
    assert "set to `False`" not in text, "no advice to run foreign code"


# What can be read


def test_safetensors(tmp_path):
    tensors = some_tensors()
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert_equal(read_tensors(tmp_path / "model.safetensors", CPU), tensors)


@FORMATS
@pytest.mark.parametrize("suffix", PICKLED_SUFFIXES)
def test_pytorch_files(save, suffix, tmp_path):
    tensors = some_tensors()
    save(tensors, tmp_path / f"model{suffix}")
    assert_equal(read_tensors(tmp_path / f"model{suffix}", CPU), tensors)


@FORMATS
def test_state_dict_of_a_module(save, tmp_path):
    """It is an `OrderedDict` with an attribute of its own."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    save(module.state_dict(), tmp_path / "model.pth")
    assert_equal(read_tensors(tmp_path / "model.pth", CPU), dict(module.state_dict()))


@FORMATS
def test_parameters(save, tmp_path):
    module = nn.Linear(3, 2)
    save(dict(module.named_parameters()), tmp_path / "model.pth")
    assert_equal(read_tensors(tmp_path / "model.pth", CPU), dict(module.state_dict()))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_tensors_can_be_changed_without_touching_the_file(suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    tensors = {"a": torch.randn(100)}
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    before = path.read_bytes()
    read_tensors(path, CPU)["a"].zero_()
    assert path.read_bytes() == before
    assert_equal(read_tensors(path, CPU), tensors)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_file_may_be_replaced_while_its_tensors_live(suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    tensors = {"a": torch.randn(100_000)}
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    found = read_tensors(path, CPU)
    path.unlink()
    assert_equal(found, tensors)


def test_views_and_other_memory_formats_keep_their_values(tmp_path):
    whole = torch.randn(4, 6, 5, 5)
    tensors = {
        "view": whole[1:3, :, 2],
        "transposed": whole[0, 0].t(),
        "channels_last": whole.contiguous(memory_format=torch.channels_last),
    }
    torch.save(tensors, tmp_path / "model.pth")
    assert_equal(read_tensors(tmp_path / "model.pth", CPU), tensors)


def test_onto_another_device(tmp_path):
    torch.save(some_tensors(), tmp_path / "model.pth")
    found = read_tensors(tmp_path / "model.pth", torch.device("meta"))
    assert {tensor.device.type for tensor in found.values()} == {"meta"}


def beside() -> dict[str, object]:
    """What training scripts keep beside their tensors."""
    return {
        "best": np.float64(93.5),
        "history": np.arange(3.0),
        "folder": Path("runs/first"),
        "counts": defaultdict(int, a=1),
        "lists": defaultdict(list, a=[np.float32(1)]),
        "arguments": argparse.Namespace(lr=np.float32(0.1), out=PureWindowsPath("runs")),
        "names": {"a", "b"},
        "dtype": torch.float16,
        "large": 2**80,
    }


@FORMATS
def test_what_training_scripts_keep_beside_the_tensors(save, tmp_path):
    tensors = some_tensors() | {"transposed": torch.randn(3, 4).t(), "parameter": nn.Parameter(torch.ones(2))}
    path = tmp_path / "last.pth"
    save({"model": OrderedDict(tensors), **beside()}, path)
    assert_equal(read_tensors(path, CPU), tensors)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@FORMATS
def test_every_pickle_protocol(protocol, save, tmp_path):
    """Those after 2, which `torch.save` does not use by itself, are translated."""
    tensors = some_tensors() | {"transposed": torch.randn(3, 4).t(), "parameter": nn.Parameter(torch.ones(2))}
    more = {"frozen": frozenset({"a"}), "bytes": b"abc" * 100, "of bytes": bytearray(b"a"), "model": "model"}
    path = tmp_path / "last.pth"
    save({"more": more, **beside(), "state_dict": OrderedDict(tensors)}, path, protocol)
    assert_equal(read_tensors(path, CPU), tensors)


def with_pickle(path: Path, content: bytes) -> None:
    """Replace the pickle of an archive."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, before in records.items():
            archive.writestr(name, content if name.endswith("data.pkl") else before)


FRAME = b"\x80\x04\x95" + bytes(8)
TEXT = b"X\x00\x00\x10\x00" + b"a" * (1 << 20) + b"\x94"
BAD_PICKLES = {
    "a million operations": (FRAME + b"N" * 1_000_001 + b".", "contains far more than tensors"),
    "a text again and again": (
        FRAME + b"](" + TEXT + b"h\x00" * 100 + b"e.",
        "contains far more than tensors",
    ),
    "a global of a number": (FRAME + b"\x8c\x02osK\x01\x93.", "is not a PyTorch file, or corrupt"),
    "a global of one text": (FRAME + b"\x8c\x02os\x93.", "is not a PyTorch file, or corrupt"),
    "a global of lines": (FRAME + b"\x8c\x07os\nlist\x8c\x01a\x93.", "is not a PyTorch file, or corrupt"),
}


@pytest.mark.parametrize(("content", "message"), BAD_PICKLES.values(), ids=BAD_PICKLES)
def test_pickles_that_cannot_be_translated(content, message, tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"a": torch.ones(2)}, path)
    with_pickle(path, content)
    assert_refused(path, message)


@pytest.mark.parametrize("save", [save_zip, save_legacy])
@pytest.mark.parametrize("protocol", [4, 5])
def test_foreign_code_in_other_protocols_is_the_reason(save, protocol, marker, tmp_path):
    save({"a": torch.zeros(1), "b": RunsCommand(marker)}, tmp_path / "model.pth", protocol)
    assert_refused(tmp_path / "model.pth", "contains more than tensors, and is refused")
    assert not marker.exists()


def global_call(module: str, name: str, arguments: bytes) -> bytes:
    """Opcodes of protocol 2 that call a global with a tuple of arguments."""
    return b"c" + f"{module}\n{name}\n".encode() + b"(" + arguments + b"tR"


LARGE_ARRAY = global_call("numpy", "ndarray", b"(J\x00\xca\x9a\x3bt")
OBJECT_TYPE = global_call("numpy", "dtype", b"X\x02\x00\x00\x00O8")
BOMBS = {
    "an array of any size": LARGE_ARRAY,
    "a list of it": global_call("__builtin__", "list", LARGE_ARRAY),
    "an object made of bytes": global_call("numpy.core.multiarray", "scalar", OBJECT_TYPE + b"U\x08AAAAAAAA"),
}


@pytest.mark.parametrize("payload", BOMBS.values(), ids=BOMBS)
def test_objects_beside_the_tensors_are_never_made(payload, tmp_path):
    """Neither their memory nor their state: NumPy would take both from the file."""
    path = tmp_path / "model.pth"
    torch.save({"a": torch.ones(2), "b": 1}, path)
    with_pickle(path, b"\x80\x02}X\x01\x00\x00\x00b" + payload + b"s.")
    tracemalloc.start()
    assert_refused(path, "contains no state dict")
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_threads_read_at_the_same_time(tmp_path):
    path = tmp_path / "last.pth"
    torch.save({"model": some_tensors(), **beside()}, path)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: read_tensors(path, CPU), range(40)))
    assert all(tensors.keys() == some_tensors().keys() for tensors in found)


def test_torchscript_is_not_run(tmp_path):
    """It is a zip file too, which torch.load would hand to its interpreter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), tmp_path / "model.pt")
    assert_refused(tmp_path / "model.pt", "cannot be read|contains more than tensors")


# Inside a training checkpoint

AVERAGES = ["state_dict_ema", "model_ema", "ema_state_dict", "params_ema", "ema"]
KEYS = [*AVERAGES, "state_dict", "model_state_dict", "model", "module", "net", "params"]


@FORMATS
@pytest.mark.parametrize("key", KEYS)
def test_state_dict_inside_a_checkpoint(save, key, tmp_path):
    tensors = some_tensors()
    content = {"epoch": 3, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}, key: tensors}
    save(content, tmp_path / "last.pth")
    assert_equal(read_tensors(tmp_path / "last.pth", CPU), tensors)


@pytest.mark.parametrize("plain", ["model", "state_dict"])
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("average_first", [True, False])
def test_averages_come_first(plain, average, average_first, tmp_path):
    averaged = some_tensors()
    content = {plain: {"a": torch.zeros(1)}, average: averaged, "epoch": 1}
    if average_first:
        content = dict(reversed(content.items()))
    torch.save(content, tmp_path / "last.pth")
    assert_equal(read_tensors(tmp_path / "last.pth", CPU), averaged)


@pytest.mark.parametrize("empty", [None, {}, {"decay": 0.99}, 0.999])
def test_average_that_was_not_kept(empty, tmp_path):
    tensors = some_tensors()
    torch.save({"model_ema": empty, "model": tensors}, tmp_path / "last.pth")
    assert_equal(read_tensors(tmp_path / "last.pth", CPU), tensors)


def test_torchs_averaged_model(tmp_path):
    """torchvision's training script keeps its average so, with a counter beside the tensors."""
    module = nn.Linear(3, 2)
    average = torch.optim.swa_utils.AveragedModel(nn.DataParallel(module))
    assert "n_averaged" in average.state_dict()
    torch.save({"model": {}, "model_ema": average.state_dict()}, tmp_path / "last.pth")
    assert_equal(read_tensors(tmp_path / "last.pth", CPU), dict(module.state_dict()))


def test_two_levels(tmp_path):
    tensors = some_tensors()
    torch.save({"model": {"state_dict": prefixed("module.", tensors), "step": 1}}, tmp_path / "last.pth")
    assert_equal(read_tensors(tmp_path / "last.pth", CPU), tensors)


# Prefixes


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "_orig_mod.",
        "model.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "model._orig_mod.",
        "model.module._orig_mod.",
        "module.module.",
        "net.",
        "net._fsdp_wrapped_module.",
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_prefixes_are_cut_off(prefix, suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    tensors = some_tensors()
    content = prefixed(prefix, tensors)
    save_file(content, path) if suffix == ".safetensors" else torch.save({"state_dict": content}, path)
    assert_equal(read_tensors(path, CPU), tensors)


def test_a_part_that_was_compiled(tmp_path):
    """And one that FSDP wrapped: the names are inside."""
    module = nn.ModuleDict({"stem": nn.Linear(3, 2), "blocks": nn.Linear(2, 2)})
    expected = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module["blocks"] = torch.compile(module["blocks"], backend="eager")
    assert any("_orig_mod." in name for name in module.state_dict())
    torch.save(module.state_dict(), tmp_path / "model.pth")
    assert_equal(read_tensors(tmp_path / "model.pth", CPU), expected)


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda m: torch.compile(m, backend="eager")])
def test_wrappers_of_torch(wrap, tmp_path):
    module = nn.Sequential(nn.Linear(3, 2))
    torch.save(wrap(module).state_dict(), tmp_path / "model.pth")
    assert_equal(read_tensors(tmp_path / "model.pth", CPU), dict(module.state_dict()))


@pytest.mark.parametrize(
    "names",
    [
        ["module.a", "b"],
        ["model.a", "models.b"],
        ["modules.a", "modules.b"],
        ["blocks.0.module.a"],
        ["n_averaged", "module.a", "b"],
        ["n_averaged"],
    ],
)
def test_prefix_of_some_tensors_is_part_of_their_names(names, tmp_path):
    tensors = {name: torch.zeros(1) for name in names}
    torch.save(tensors, tmp_path / "model.pth")
    assert read_tensors(tmp_path / "model.pth", CPU).keys() == tensors.keys()


# Pickles that do something


class RunsCommand:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch '{self.marker}'",)


class RunsPython(RunsCommand):
    def __reduce__(self):
        return exec, (f"open({str(self.marker)!r}, 'w').close()",)


class OpensFile(RunsCommand):
    def __reduce__(self):
        return open, (str(self.marker), "w")


@pytest.fixture
def marker(tmp_path) -> Path:
    """A file that only foreign code would make."""
    return tmp_path / "marker"


def pickle_dump(protocol: int) -> Callable[[object, Path], None]:
    return lambda content, path: path.write_bytes(pickle.dumps(content, protocol=protocol))


DUMPS = {f"pickle{protocol}": pickle_dump(protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)}


REFUSED = (
    "is refused because reading it could run foreign code|is not what torch.save writes"
    "|cannot be read|is not a PyTorch file"
)


@pytest.mark.parametrize("payload", [RunsCommand, RunsPython, OpensFile])
@pytest.mark.parametrize("save", [save_zip, save_legacy, *DUMPS.values()], ids=["zip", "legacy", *DUMPS])
@pytest.mark.parametrize(
    "wrap", [lambda p: p, lambda p: {"a": torch.zeros(1), "b": p}], ids=["bare", "among"]
)
def test_foreign_code_is_never_run(payload, save, wrap, marker, tmp_path):
    path = tmp_path / "model.pth"
    save(wrap(payload(marker)), path)
    assert_refused(path, REFUSED)
    assert not marker.exists()


@pytest.mark.parametrize("payload", [RunsCommand, RunsPython])
def test_payload_would_work(payload, marker):
    """Were it harmless, the test above would pass for the wrong reason."""
    pickle.loads(pickle.dumps(payload(marker)))
    assert marker.exists()


@FORMATS
def test_foreign_code_is_named_as_the_reason(save, marker, tmp_path):
    save({"a": torch.zeros(1), "b": RunsCommand(marker)}, tmp_path / "model.pth")
    assert_refused(
        tmp_path / "model.pth",
        r"model\.pth contains more than tensors, and is refused .* ask its author for a safetensors file",
    )
    assert not marker.exists()


def test_payload_behind_the_tensors_of_a_legacy_file(marker, tmp_path):
    """Such a file is several pickles one after the other; a valid one first must not open the door."""
    path = tmp_path / "model.pth"
    save_legacy({"a": torch.zeros(1)}, path)
    file = io.BytesIO(path.read_bytes())
    ends = []
    for _ in range(3):  # magic number, version, system; then comes the content
        pickle.load(file)
        ends.append(file.tell())
    payload = pickle.dumps(RunsCommand(marker), protocol=2)
    path.write_bytes(path.read_bytes()[: ends[-1]] + payload)
    assert_refused(path, "is refused because reading it could run foreign code")
    assert not marker.exists()


def test_payload_in_a_safetensors_file(marker, tmp_path):
    path = tmp_path / "model.safetensors"
    save_zip(RunsCommand(marker), path)
    assert_refused(path, "cannot be read")
    assert not marker.exists()


@FORMATS
@pytest.mark.parametrize(
    "content",
    [nn.Linear(2, 2), {"a": torch.nn.init.zeros_}],
    ids=["module", "function"],
)
def test_pickles_of_more_than_tensors(save, content, tmp_path):
    save(content, tmp_path / "model.pth")
    assert_refused(tmp_path / "model.pth", "contains more than tensors, and is refused")


@pytest.mark.parametrize("save", DUMPS.values(), ids=DUMPS)
def test_plain_pickle(save, tmp_path):
    save({"a": [1, 2]}, tmp_path / "model.pth")
    assert_refused(tmp_path / "model.pth", f"cannot be read|{REFUSED}")


# Files that hold no state dict


@FORMATS
@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        None,
        3,
        "text",
        torch.zeros(2),
        [torch.zeros(2)],
        {"a": torch.zeros(2), "epoch": 3},
        {"a": None},
        {"a": [torch.zeros(2)]},
        {"state_dict": {"a": torch.zeros(2), "epoch": 3}},
        {"state_dict": {}},
        {"state_dict": [torch.zeros(2)]},
        {"weights": {"a": torch.zeros(2)}},
        {"state_dict": {"state_dict": {"state_dict": {"state_dict": {"state_dict": {}}}}}},
    ],
    ids=lambda content: repr(content)[:40],
)
def test_no_state_dict(save, content, tmp_path):
    save(content, tmp_path / "model.pth")
    assert_refused(tmp_path / "model.pth", "contains no state dict; looked for tensors by name, also in")


@FORMATS
def test_checkpoint_that_holds_itself(save, tmp_path):
    """A pickle can; following it must end."""
    content: dict[str, object] = {"epoch": 1}
    content["state_dict"] = content
    save(content, tmp_path / "model.pth")
    assert_refused(tmp_path / "model.pth", "contains no state dict")


# Broken files


@pytest.mark.parametrize("suffix", [".safetensors", *PICKLED_SUFFIXES])
def test_no_bytes(suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"")
    assert_refused(path, r"is empty \(0 bytes\)")


@FORMATS
@pytest.mark.parametrize("keep", [1, 2, 4, 30, 0.1, 0.5, 0.9, -1])
def test_truncated_pytorch_file(save, keep, tmp_path):
    path = tmp_path / "model.pth"
    save(some_tensors(), path)
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    assert_refused(path, "(is not what torch.save writes|cannot be read .*); copy or download it again")


@pytest.mark.parametrize("keep", [1, 7, 8, 9, 100, 0.5, 0.9, -1])
def test_truncated_safetensors(keep, tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(some_tensors(), path)
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    assert_refused(path, "cannot be read .* copy or save it again")


@pytest.mark.parametrize(
    "content",
    [
        b"a note, and no weights\n",
        b"<!DOCTYPE html><html><body>404: Not Found</body></html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 21444401\n",
        b'{"state_dict": {}}',
        bytes(3000),
        bytes(range(256)) * 10,
        "Škoda".encode("utf-16"),
        b"\x89PNG\r\n\x1a\n",
    ],
    ids=["text", "html", "lfs", "json", "zeros", "bytes", "utf-16", "png"],
)
def test_other_files_named_pth(content, tmp_path):
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    assert_refused(path, "is not what torch.save writes; copy or download it again")


def test_another_zip_named_pth(tmp_path):
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/text.txt", "hello")
    assert_refused(path, "cannot be read")


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_damaged_bytes(kind, seed, tmp_path):
    """Either they are noticed, and told in the usual way, or only values of tensors changed."""
    path = tmp_path / ("model.safetensors" if kind == "safetensors" else "model.pth")
    tensors = {"a": torch.randn(3, 4), "b": torch.randn(3)}
    {"zip": save_zip, "legacy": save_legacy, "safetensors": save_file}[kind](tensors, path)
    content = bytearray(path.read_bytes())
    draw = np.random.default_rng(seed)
    for position in draw.integers(0, len(content), size=seed % 4 + 1):
        content[position] = draw.integers(0, 256)
    path.write_bytes(content)
    complaint = complaint_about(path)
    assert complaint is None or (str(path) in complaint and "\n" not in complaint)


def complaint_about(path: Path) -> str | None:
    try:
        read_tensors(path, CPU)
    except CheckpointError as error:
        return str(error)
    return None


# Safetensors whose header lies


def header(length: int | None = None, data: bytes = bytes(8), **tensors: object) -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: str = "F32", shape: tuple[int, ...] = (2,), begin: int = 0, end: int = 8) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_header_of_the_tests_is_right(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(header(a=entry()))
    assert_equal(read_tensors(path, CPU), {"a": torch.zeros(2)})


@pytest.mark.parametrize(
    "content",
    [
        header(a=entry(shape=(3,))),
        header(a=entry(shape=(1,))),
        header(a=entry(shape=(3,), end=12)),
        header(a=entry(), data=bytes(9)),
        header(a=entry(), data=bytes(7)),
        header(a=entry(begin=-8, end=0)),
        header(a=entry(begin=8, end=0)),
        header(a=entry(begin=1000, end=1008)),
        header(a=entry(), b=entry()),
        header(a=entry(), b=entry(begin=4, end=12), data=bytes(12)),
        header(a=entry(), b=entry(begin=12, end=20), data=bytes(20)),
        header(a=entry(shape=(2**62, 4))),
        header(a=entry(shape=(2**63, 0), end=0), data=b""),
        header(a=entry(shape=(2**64 - 1, 0), end=0), data=b""),
        header(a=entry(shape=(-2, -1))),
        header(a=entry(dtype="F31")),
        header(a=3),
        header(a={"dtype": "F32"}),
        header(a=entry(), __metadata__={"format": 1}),
        header(length=2**20, a=entry()),
        header(length=2**63, a=entry()),
        header(length=2**64 - 1, a=entry()),
        header(length=0, a=entry()),
        header(length=5, a=entry()),
        struct.pack("<Q", 10) + b"{nonsense}",
        struct.pack("<Q", 4) + b'{"\xff"',
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b"null",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        b"PK\x03\x04" + bytes(100),
        b"a note, and no weights\n",
    ],
    ids=lambda content: repr(content[8:60]),
)
def test_lying_safetensors(content, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert_refused(path, r"model\.safetensors cannot be read \(.+\); copy or save it again")


# No weights file at all


@pytest.mark.parametrize("name", ["nowhere.pth", "nowhere.safetensors", "nowhere"])
def test_no_such_file(name, tmp_path):
    assert_refused(tmp_path / name, "there is no file")


@pytest.mark.parametrize("name", ["folder", "folder.pth", "folder.safetensors"])
def test_folder(name, tmp_path):
    (tmp_path / name).mkdir()
    assert_refused(tmp_path / name, "there is no file")


@pytest.mark.parametrize("name", ["model", "model.txt", "model.h5", "model.onnx", "model.pth.zip", ".pth"])
def test_wrong_suffix(name, tmp_path):
    with (tmp_path / name).open("wb") as file:
        torch.save(some_tensors(), file)
    assert_refused(tmp_path / name, r"is not a weights file; use \.safetensors or one of \.pth, ")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
def test_file_that_may_not_be_read(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"something")
    path.chmod(0)
    assert_refused(path, "cannot be read")


def test_disk_that_fails(tmp_path, monkeypatch):
    path = tmp_path / "model.pth"
    torch.save(some_tensors(), path)

    def fail(*args, **kwargs):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", fail)
    assert_refused(path, r"cannot be read \(Input/output error\)")
