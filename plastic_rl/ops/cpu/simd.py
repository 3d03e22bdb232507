"""Explicit vectors for numba: what the fused kernels are written in.

LLVM's own vectoriser gives up on loops that touch a dozen arrays, because it cannot prove that they do not overlap.
Here a kernel says itself what is a vector: `load` and `store` move one between a flat array and a register, `fma` and
the operators compute with it. A `Vector` exists only inside compiled code.
"""

import operator
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from plastic_rl.ops.cpu.compiled import inner

# One machine register, so that no value of a kernel needs two: 64 bytes with AVX-512, else 32.
BYTES = 64 if binding.get_host_cpu_features().get("avx512f", False) else 32


class Vector(types.Type):
    """The numba type of BYTES bytes of float32 or float64 numbers."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        self.lanes = BYTES * 8 // dtype.bitwidth
        super().__init__(name=f"Vector({dtype}, {self.lanes})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector is one LLVM vector."""

    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        element = ir.FloatType() if fe_type.dtype == types.float32 else ir.DoubleType()
        super().__init__(dmm, fe_type, ir.VectorType(element, fe_type.lanes))


def _element(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


def _address(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    vector = context.get_value_type(Vector(array_type.dtype))
    return builder.bitcast(_element(context, builder, array_type, array, offset), vector.as_pointer())


def _call(builder: Any, name: str, kind: Vector, result: Any, args: Any, **flags: Any) -> Any:
    full_name = f"llvm.{name}.v{kind.lanes}f{kind.dtype.bitwidth}"
    function_type = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, full_name), args, **flags)


@intrinsic
def lanes_of(typingctx, array):
    """Return how many of an array's numbers a vector holds, a constant of the compiled code."""

    def codegen(context, builder, signature, args):
        return context.get_constant(types.intp, Vector(array.dtype).lanes)

    return types.intp(array), codegen


@intrinsic
def load(typingctx, array, offset):
    """Return the vector that begins at an element of a flat array."""

    def codegen(context, builder, signature, args):
        address = _address(context, builder, signature.args[0], *args)
        return builder.load(address, align=array.dtype.bitwidth // 8)

    return Vector(array.dtype)(array, types.intp), codegen


@intrinsic
def store(typingctx, array, offset, vector):
    """Write a vector into a flat array from an element on."""

    def codegen(context, builder, signature, args):
        address = _address(context, builder, signature.args[0], *args[:2])
        builder.store(args[2], address, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), codegen


def _in_every_place(builder: Any, value: Any, lanes: int) -> Any:
    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(first, undefined, mask)


@intrinsic
def fill(typingctx, array, number):
    """Return a vector of an array's kind with one number in every place."""
    kind = Vector(array.dtype)

    def codegen(context, builder, signature, args):
        value = context.cast(builder, args[1], number, array.dtype)
        return _in_every_place(builder, value, kind.lanes)

    return kind(array, number), codegen


@intrinsic
def broadcast(typingctx, array, offset):
    """Return a vector with one number of a flat array in every place.

    Numba's `array[offset]` counts from the end where an offset is negative, and asks at every place.
    """
    kind = Vector(array.dtype)

    def codegen(context, builder, signature, args):
        element = _element(context, builder, signature.args[0], *args)
        return _in_every_place(builder, builder.load(element), kind.lanes)

    return kind(array, types.intp), codegen


@intrinsic
def fma(typingctx, a, b, c):
    """Return a * b + c, in one instruction where the machine has it."""

    def codegen(context, builder, signature, args):
        return _call(builder, "fmuladd", a, args[0].type, args)

    return a(a, b, c), codegen


@intrinsic
def total(typingctx, vector):
    """Return the sum of a vector's numbers."""

    def codegen(context, builder, signature, args):
        element = args[0].type.element
        zero = ir.Constant(element, -0.0)
        return _call(builder, "vector.reduce.fadd", vector, element, [zero, args[0]], fastmath=("reassoc",))

    return vector.dtype(vector), codegen


@intrinsic
def add_totals(typingctx, array, offset, a, b, c, d):
    """Add the sums of four vectors' numbers to four numbers of a flat array, from an element on.

    Vectors are folded to four lanes and then added across, which takes a third less instructions than four sums do.
    """
    kind = Vector(array.dtype)

    def codegen(context, builder, signature, args):
        def shuffle(x, y, places):
            places = list(places)
            mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places)
            return builder.shuffle_vector(x, y, mask)

        def fold(x, lanes):
            while lanes > 4:
                lanes //= 2
                x = builder.fadd(shuffle(x, x, range(lanes)), shuffle(x, x, range(lanes, 2 * lanes)))
            return x

        x, y, z, w = (fold(value, kind.lanes) for value in args[2:])
        even, odd = [0, 4, 2, 6], [1, 5, 3, 7]
        s = builder.fadd(shuffle(x, y, even), shuffle(x, y, odd))
        t = builder.fadd(shuffle(z, w, even), shuffle(z, w, odd))
        sums = builder.fadd(shuffle(s, t, [0, 1, 4, 5]), shuffle(s, t, [2, 3, 6, 7]))
        address = builder.bitcast(_element(context, builder, signature.args[0], *args[:2]), sums.type.as_pointer())
        align = array.dtype.bitwidth // 8
        builder.store(builder.fadd(builder.load(address, align=align), sums), address, align=align)
        return context.get_dummy_value()

    return types.void(array, types.intp, kind, kind, kind, kind), codegen


@intrinsic
def least(typingctx, vector):
    """Return the smallest of a vector's numbers; NaN is passed over."""

    def codegen(context, builder, signature, args):
        return _call(builder, "vector.reduce.fmin", vector, args[0].type.element, args)

    return vector.dtype(vector), codegen


@intrinsic
def greatest(typingctx, vector):
    """Return the greatest of a vector's numbers."""

    def codegen(context, builder, signature, args):
        return _call(builder, "vector.reduce.fmax", vector, args[0].type.element, args)

    return vector.dtype(vector), codegen


@intrinsic
def larger_magnitude(typingctx, a, b):
    """Return the larger of `a` and the magnitude of `b`, place by place; NaN in `b` counts as larger, and stays."""

    def codegen(context, builder, signature, args):
        size = _call(builder, "fabs", b, args[1].type, [args[1]])
        return builder.select(builder.fcmp_ordered("<", size, args[0]), *args[:1], size)

    return a(a, b), codegen


@intrinsic
def lower(typingctx, a, b):
    """Return the smaller of two vectors, place by place; NaN in `a` is passed over."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered("<", *args), *args)

    return a(a, b), codegen


@intrinsic
def clip(typingctx, vector, limit):
    """Return a vector kept in [-limit, limit]; NaN stays NaN."""

    def codegen(context, builder, signature, args):
        value, high = args
        low = builder.fneg(high)
        value = builder.select(builder.fcmp_ordered(">", value, high), high, value)
        return builder.select(builder.fcmp_ordered("<", value, low), low, value)

    return vector(vector, limit), codegen


@intrinsic
def where_within(typingctx, vector, tested, limit):
    """Return a vector where the tested one lies in [-limit, limit], and zero elsewhere."""

    def codegen(context, builder, signature, args):
        value, test, high = args
        size = _call(builder, "fabs", vector, test.type, [test])
        return builder.select(builder.fcmp_ordered("<=", size, high), value, ir.Constant(value.type, None))

    return vector(vector, tested, limit), codegen


def _define(python_operator: Any, instruction: str) -> None:
    @intrinsic
    def emit(typingctx, a, b):
        def codegen(context, builder, signature, args):
            return getattr(builder, instruction)(*args, flags=("contract",))

        return a(a, b), codegen

    @overload(python_operator)
    def implementation(a, b):
        if isinstance(a, Vector) and isinstance(b, Vector):
            return lambda a, b: emit(a, b)
        return None


for _operator, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define(_operator, _instruction)


# A slice that is assigned to compiles for much longer: numba checks shapes, and makes an error's text of them.
@inner
def set_all(array, number):
    """Write a number into every place of a flat array."""
    for i in range(array.size):
        array[i] = number


@inner
def copy(source, array):
    """Write the numbers of a flat array into another as long."""
    for i in range(array.size):
        array[i] = source[i]
