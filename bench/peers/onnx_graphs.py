#!/usr/bin/python3
"""ONNX Runtime as a peer: graphs of a node or two. SPDX-License-Identifier: Apache-2.0"""
import numpy as np
import onnx
import onnxruntime
from onnx import helper

from serve import Cannot, peer, serve

VERSION = onnxruntime.__version__
OPSET, IR = 20, 10  # that any ONNX Runtime since 1.17 reads
NODE = helper.make_node


def session(case, nodes, inputs, output, output_type=onnx.TensorProto.FLOAT):
    """Runs the nodes on the inputs {name: array}; inputs and the output are bound to memory that is there before the first call."""
    if not all(a.flags.c_contiguous for a in inputs.values()):
        raise Cannot("it takes compact rows")
    graph = helper.make_graph(
        nodes, "peer",
        [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for name, a in inputs.items()],
        [helper.make_tensor_value_info(output, output_type, None)])
    model = helper.make_model(graph, ir_version=IR, opset_imports=[helper.make_opsetid("", OPSET)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = case.threads, 3
    run = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    y, binding = np.empty(case.views[case.order[0]]["shape"], helper.tensor_dtype_to_np_dtype(output_type)), run.io_binding()
    for name, a in inputs.items():
        binding.bind_cpu_input(name, a)
    binding.bind_ortvalue_output(output, onnxruntime.OrtValue.ortvalue_from_numpy(y))

    def bound():
        run.run_with_iobinding(binding)
        return y

    bound.inputs = inputs  # the binding knows no more than where they lie
    return bound


def element_wise(kernel, operator, **attributes):
    @peer("ONNX Runtime", kernel, version=VERSION, tolerance=1e-3)
    def make(case):
        return session(case, [NODE(operator, ["x"], ["y"], **attributes)], {"x": case.view("x")}, "y")


for name, operator in (("exp", "Exp"), ("log", "Log"), ("tanh", "Tanh"), ("sigmoid", "Sigmoid"), ("erf", "Erf"), ("sin", "Sin"), ("cos", "Cos")):
    element_wise(name, operator)
element_wise("gelu", "Gelu")
element_wise("gelu_tanh", "Gelu", approximate="tanh")
element_wise("softmax", "Softmax", axis=-1)


@peer("ONNX Runtime", "layer_norm", version=VERSION)
def layer_norm(case):
    inputs = {name: case.view(name) for name in ("x", "gamma", "beta")}
    return session(case, [NODE("LayerNormalization", list(inputs), ["y"], axis=-1, epsilon=case.scalars["eps"])], inputs, "y")


@peer("ONNX Runtime", "matmul", version=VERSION)
def matmul(case):
    return session(case, [NODE("MatMul", ["a", "b"], ["c"])], {name: case.view(name) for name in ("a", "b")}, "c")


def last(operator, **attributes):
    return [NODE(operator, ["s"], ["c"], **attributes)]


# From s to c, by Foghorn's numbers.
ACTIVATIONS = [
    [],
    last("Relu"),
    last("Gelu"),
    last("Gelu", approximate="tanh"),
    [NODE("Sigmoid", ["s"], ["t"]), NODE("Mul", ["s", "t"], ["c"])],
    last("Sigmoid"),
    last("Tanh"),
]


@peer("ONNX Runtime", "matmul_fused", version=VERSION)
def matmul_fused(case):
    inputs, after = {name: case.view(name) for name in ("a", "b", "d")}, ACTIVATIONS[int(case.scalars["activation"])]
    sum_of = "s" if after else "c"
    if inputs["a"].ndim == 2:
        nodes = [NODE("Gemm", ["a", "b", "d"], [sum_of])]
    else:
        nodes = [NODE("MatMul", ["a", "b"], ["p"]), NODE("Add", ["p", "d"], [sum_of])]
    return session(case, nodes + after, inputs, "c")


@peer("ONNX Runtime", "matmul_i8", version=VERSION)
def matmul_i8(case):
    inputs = {name: case.view(name) for name in ("a", "b")}
    if inputs["b"].ndim == 4:
        raise Cannot("it has no packed weights of ours")
    return session(case, [NODE("MatMulInteger", ["a", "b"], ["c"])], inputs, "c", onnx.TensorProto.INT32)


@peer("ONNX Runtime", "gather", version=VERSION)
def gather(case):
    if case.scalars["scale"] != 1:
        raise Cannot("its rows have no factor")
    return session(case, [NODE("Gather", ["x", "ids"], ["y"], axis=0)], {name: case.view(name) for name in ("x", "ids")}, "y")


@peer("ONNX Runtime", "permute", version=VERSION)
def permute(case):
    x = case.view("x")
    axes = [int(case.scalars[f"axis{i}"]) for i in range(x.ndim)]
    return session(case, [NODE("Transpose", ["x"], ["y"], perm=axes)], {"x": x}, "y")


serve()
