#!/usr/bin/env python3
"""Writes the seed files of safetensors_fuzz and torch_zip_fuzz, byte for byte the same each time.

    python3 tests/fuzz/make_weights_corpus.py

Needs nothing but Python: the pickles are made by Python's own pickler from stand-ins for torch's classes, so they are
what torch.save writes. tests/unit/formats reads the same files and knows the values below.
"""
import collections
import io
import json
import os
import pickle
import struct
import sys
import types
import zipfile

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


# --- torch's names, as the pickler sees them -------------------------------------------------------------------------

torch, torch_utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
sys.modules["torch"], sys.modules["torch._utils"] = torch, torch_utils
torch._utils = torch_utils


def stand_in(module, name, value):
    value.__module__, value.__qualname__, value.__name__ = module.__name__, name, name
    setattr(module, name, value)
    return value


rebuild_tensor = stand_in(torch_utils, "_rebuild_tensor_v2", lambda *arguments: None)
rebuild_parameter = stand_in(torch_utils, "_rebuild_parameter", lambda *arguments: None)
CLASSES = {name: stand_in(torch, name, type(name, (), {})) for name in
           ("FloatStorage", "DoubleStorage", "HalfStorage", "BFloat16Storage", "LongStorage")}


class Storage:
    def __init__(self, key, kind, code, values):
        self.key, self.kind, self.values = key, CLASSES[kind], values
        if code == "bf16":  # the values are exact in bf16
            self.data = b"".join(struct.pack("<f", v)[2:] for v in values)
        else:
            self.data = struct.pack("<%d%s" % (len(values), code), *values)


class Tensor:
    def __init__(self, storage, shape, strides, offset=0):
        self.arguments = (storage, offset, shape, strides, False, collections.OrderedDict())

    def __reduce__(self):
        return rebuild_tensor, self.arguments


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return rebuild_parameter, (self.tensor, True, collections.OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, thing):
        if isinstance(thing, Storage):
            return ("storage", thing.kind, thing.key, "cpu", len(thing.values))
        return None


def pickled(state, protocol=2):
    out = io.BytesIO()
    Pickler(out, protocol=protocol).dump(state)
    return out.getvalue()


def archive(state, storages, compression=zipfile.ZIP_STORED, protocol=2, byteorder="little"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as target:
        def add(name, data):
            target.writestr(zipfile.ZipInfo("model/" + name), data, compress_type=compression)
        add("data.pkl", pickled(state, protocol))
        add("byteorder", byteorder)
        for storage in storages:
            add("data/" + storage.key, storage.data)
        add("version", "3\n")
    return out.getvalue()


def write(target, name, data):
    with open(os.path.join(HERE, target, name), "wb") as file:
        file.write(data)


def torch_files():
    floats = Storage("0", "FloatStorage", "f", [float(i) for i in range(12)])
    halves = Storage("1", "HalfStorage", "e", [0.5, -2.0, 65504.0, 2.0 ** -24])
    brains = Storage("2", "BFloat16Storage", "bf16", [1.0, -0.5, 3.0])
    doubles = Storage("3", "DoubleStorage", "d", [0.25, -8.0])
    longs = Storage("4", "LongStorage", "q", [7, 8])
    state = collections.OrderedDict()
    state["weight"] = Tensor(floats, (3, 4), (4, 1))
    state["tied"] = Tensor(floats, (3, 4), (4, 1))  # the same storage
    state["transposed"] = Tensor(floats, (4, 3), (1, 4))
    state["tail"] = Parameter(Tensor(floats, (2, 2), (2, 1), 8))
    state["spread"] = Tensor(floats, (3, 2), (1, 0), 2)  # torch.expand: stride 0
    state["half"] = Tensor(halves, (4,), (1,))
    state["brain"] = Tensor(brains, (3,), (1,))
    state["double"] = Tensor(doubles, (2,), (1,))
    state["scalar"] = Tensor(floats, (), (), 5)
    state["empty"] = Tensor(floats, (0, 4), (4, 1))
    state["position_ids"] = Tensor(longs, (1, 2), (2, 1))
    state._metadata = collections.OrderedDict({"": {"version": 1}})  # as Module.state_dict() leaves it
    storages = [floats, halves, brains, doubles, longs]
    write("torch_zip_fuzz", "stored.bin", archive(state, storages))
    write("torch_zip_fuzz", "deflated.bin", archive(state, storages, zipfile.ZIP_DEFLATED))
    write("torch_zip_fuzz", "protocol4.bin", archive(dict(state), storages, protocol=4))
    write("torch_zip_fuzz", "big_endian.bin", archive(state, storages, byteorder="big"))
    write("torch_zip_fuzz", "data.pkl", pickled(state))
    write("torch_zip_fuzz", "protocol5.pkl", pickled(dict(state), 5))
    # What nobody may run.
    write("torch_zip_fuzz", "system.pkl", b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")
    write("torch_zip_fuzz", "stack_global.pkl", b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x03 1 \x85R.")


def safetensors(entries, metadata=None, data=b""):
    header = {}
    if metadata:
        header["__metadata__"] = metadata
    header.update(entries)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def safetensors_files():
    def entry(dtype, shape, begin, end):
        return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}

    data = (struct.pack("<6f", *range(6)) + struct.pack("<2e", 0.5, -2.0) + b"\x80\x3f\x40\x40" +
            struct.pack("<2d", 0.25, -8.0) + struct.pack("<q", 7))
    write("safetensors_fuzz", "types.safetensors", safetensors(
        {"f": entry("F32", [2, 3], 0, 24), "h": entry("F16", [2], 24, 28), "b": entry("BF16", [2], 28, 32),
         "d": entry("F64", [2, 1], 32, 48), "i": entry("I64", [], 48, 56), "e": entry("F32", [0, 7], 56, 56)},
        {"format": "pt"}, data))
    write("safetensors_fuzz", "small.safetensors", safetensors({"a": entry("F32", [1], 0, 4)}, None, bytes(4)))
    write("safetensors_fuzz", "nothing.safetensors", safetensors({}))
    write("safetensors_fuzz", "overlap.safetensors", safetensors(
        {"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, None, bytes(12)))


if __name__ == "__main__":
    torch_files()
    safetensors_files()
