"""A stacked LSTM's epoch, compiled: one network at a time, everything of it in cache.

For single precision on a CPU. numba compiles it when it is first imported and keeps the result.
:mod:`sinesweep.fused.kernel` does the same with PyTorch's operations on a GPU, in double precision,
and where numba is not installed.

A batch is walked through in blocks of LANES series, the last axis of every buffer: what the passes
hold does not depend on the batch. A block with fewer series repeats its last one, with no gradient.
Within a block each layer goes through all of time before the next one does. Products keep a tile
of their result in vector registers: no compiler finds that by itself, so their code is written as
LLVM's, by the operators of ``_Lanes``. That is in this file since numba looks for changes in the
file of a function only before it takes what it has kept.

Shapes: L layers, H hidden size, I what a layer reads at a step (1, or H), T steps read, O steps
forecast, N rows, P parameters. The gates are in PyTorch's order i, f, g, o, and the parameters
in one vector: for each layer its weights (4H, I) and (4H, H) and its bias (4H), then the head's
weights (O, H) and its bias (O).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from llvmlite import binding, ir
from numba import float32, float64, int64, njit, types, uint8
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

# What a processor's vector registers take: 32 of 16 numbers, or 16 of 8.
_IS_WIDE = binding.get_host_cpu_features().get("avx512f", False)
LANES = 16 if _IS_WIDE else 8
_COLUMNS = 4 if _IS_WIDE else 2  # of a tile of weight gradients with 4 rows
GATES = 4

# tanh is a quotient of two polynomials in x**2, fitted by least squares, weighted until the largest
# relative error is least, on [0, 9]; beyond, it is one to single precision. Its relative error is
# below 4e-7 there, and sigmoid(x) = (1 + tanh(x / 2)) / 2. A NaN stays one.
_ABOVE = (
    1.3354604016309903e-08,
    2.0609046864634717e-05,
    0.0034955862367005747,
    0.1338102413385846,
    0.999999979470677,
)
_BELOW = (
    7.776536548244544e-07,
    0.00032856315413379013,
    0.02587697527484969,
    0.4671433973037362,
    1.0,
)
_LARGEST = 9.0

_FLOAT, _INT = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_SIZE = 4  # bytes of a number


@dataclass(frozen=True)
class _Lanes:
    """LANES numbers in code that is being written: each operator writes an instruction."""

    builder: ir.IRBuilder
    value: Any

    def __add__(self, other: _Lanes | float) -> _Lanes:
        return self._by("fadd", self, other)

    def __sub__(self, other: _Lanes) -> _Lanes:
        return self._by("fsub", self, other)

    def __rsub__(self, other: float) -> _Lanes:
        return self._by("fsub", other, self)

    def __mul__(self, other: _Lanes | float) -> _Lanes:
        return self._by("fmul", self, other)

    def __truediv__(self, other: _Lanes) -> _Lanes:
        return self._by("fdiv", self, other)

    def within(self, limit: float) -> _Lanes:
        """Cut off at a limit and its negative; a NaN stays one."""
        found = self.value
        for sign, end in (("<", -limit), (">", limit)):
            bound = ir.Constant(_VECTOR, [end] * LANES)
            beyond = self.builder.fcmp_ordered(sign, found, bound)
            found = self.builder.select(beyond, bound, found)
        return _Lanes(self.builder, found)

    def _by(self, name: str, *operands: _Lanes | float) -> _Lanes:
        values = [
            each.value if isinstance(each, _Lanes) else ir.Constant(_VECTOR, [each] * LANES)
            for each in operands
        ]
        # A product and the sum that takes it may be one instruction, rounded once.
        return _Lanes(self.builder, getattr(self.builder, name)(*values, flags=("contract",)))


def tanh(x: _Lanes) -> _Lanes:
    """Write a hyperbolic tangent."""
    x = x.within(_LARGEST)
    square = x * x
    above, below = (square * first + second for first, second, *_ in (_ABOVE, _BELOW))
    for a, b in zip(_ABOVE[2:], _BELOW[2:], strict=True):
        above, below = above * square + a, below * square + b
    return x * above / below


def _sigmoid(x: _Lanes) -> _Lanes:
    return tanh(x * 0.5) * 0.5 + 0.5


class _Code:
    """Writes the code of one function that reads and writes arrays of float32 in place."""

    def __init__(self, context: Any, builder: ir.IRBuilder) -> None:
        self._context, self.builder = context, builder

    def opened(self, kind: Any, value: Any) -> Any:
        """Return a tuple's parts as a list, and an array's address."""
        if isinstance(kind, types.Array):
            return self._context.make_array(kind)(self._context, self.builder, value).data
        if isinstance(kind, types.BaseTuple):
            parts = cgutils.unpack_tuple(self.builder, value)
            return [*map(self.opened, kind, parts)]  # pyright: ignore[reportArgumentType] # iterable
        return value

    def at(self, address: Any, offset: Any) -> Any:
        """Return the address of a number behind another."""
        return self.builder.gep(address, [offset])

    def steps(self, first: Any, step: Any, count: int) -> list[Any]:
        """Return addresses or offsets at equal distances."""
        add = self.at if isinstance(first.type, ir.PointerType) else self.builder.add
        return [add(first, self.builder.mul(step, _INT(n))) for n in range(count)]

    def load(self, address: Any) -> _Lanes:
        """Read LANES numbers."""
        address = self.builder.bitcast(address, _VECTOR.as_pointer())
        return _Lanes(self.builder, self.builder.load(address, align=_SIZE))

    def store(self, lanes: _Lanes, address: Any) -> None:
        """Write LANES numbers."""
        address = self.builder.bitcast(address, _VECTOR.as_pointer())
        self.builder.store(lanes.value, address, align=_SIZE)

    def add(self, lanes: _Lanes, address: Any) -> None:
        """Add the sum over lanes to a number."""
        name = f"llvm.vector.reduce.fadd.v{LANES}f32"
        kind = ir.FunctionType(_FLOAT, [_FLOAT, _VECTOR])
        reduce = cgutils.get_or_insert_function(self.builder.module, kind, name)
        # In any order, so that it takes the logarithm of their number.
        total = self.builder.call(reduce, [_FLOAT(-0.0), lanes.value], fastmath=("reassoc",))
        self.builder.store(self.builder.fadd(self.builder.load(address), total), address)

    def everywhere(self, address: Any) -> _Lanes:
        """Read one number into all lanes."""
        number, nothing = self.builder.load(address), ir.Constant(_VECTOR, ir.Undefined)
        vector = self.builder.insert_element(nothing, number, ir.IntType(32)(0))
        first = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return _Lanes(self.builder, self.builder.shuffle_vector(vector, nothing, first))

    def zero(self) -> _Lanes:
        """Return zeros."""
        return _Lanes(self.builder, ir.Constant(_VECTOR, [0.0] * LANES))

    def summed(
        self,
        sums: Sequence[_Lanes],
        count: Any,
        steps: Sequence[Any],
        body: Callable[[Sequence[_Lanes], Sequence[Any]], Sequence[_Lanes]],
    ) -> list[_Lanes]:
        """Write a loop.

        Args:
            sums: what they are before it.
            count: rounds.
            steps: offsets that begin at zero and grow by these.
            body: returns the sums after a round from those before it and the offsets.
        """
        builder, before = self.builder, self.builder.block
        head, inside, behind = (builder.append_basic_block(name) for name in ("h", "i", "b"))
        builder.branch(head)
        builder.position_at_end(head)
        counters = [builder.phi(_INT) for _ in (count, *steps)]
        held = [builder.phi(_VECTOR) for _ in sums]
        for phi, lanes in zip(held, sums, strict=True):
            phi.add_incoming(lanes.value, before)
        builder.cbranch(builder.icmp_signed("<", counters[0], count), inside, behind)
        builder.position_at_end(inside)
        running = [_Lanes(builder, phi) for phi in held]
        for phi, lanes in zip(held, body(running, counters[1:]), strict=True):
            phi.add_incoming(lanes.value, inside)
        for phi, step in zip(counters, (_INT(1), *steps), strict=True):
            phi.add_incoming(_INT(0), before)
            phi.add_incoming(builder.add(phi, step), inside)
        builder.branch(head)
        builder.position_at_end(behind)
        return running


def written(write: Callable[..., None]) -> Any:
    """Return a function for numba that consists of the code that ``write(code, *values)`` writes.

    Arrays among its arguments arrive as the addresses of their first numbers.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        code = _Code(context, builder)
        write(code, *code.opened(signature.args[0], values[0]))
        return context.get_dummy_value()

    @intrinsic
    def function(typing: Any, *arguments: Any) -> Any:  # noqa: ARG001 # numba's
        return types.void(types.StarArgTuple(arguments)), generate

    return function


def _write_product(code: _Code, rows: int, *values: Any) -> None:
    """Some rows of a bias and of products, at one step: see :func:`_multiply`."""
    (row, to, out, bias, bias_at, weights, sources) = values
    add, scale, line = code.builder.add, code.builder.mul, _INT(LANES)
    sums = [
        code.everywhere(at) for at in code.steps(code.at(bias, add(bias_at, row)), _INT(1), rows)
    ]
    for first, by_row, by_term, terms, read, start in sources:
        own = code.at(weights, add(first, scale(row, by_row)))
        of_rows, source = code.steps(own, by_row, rows), code.at(read, start)

        def body(
            sums: Sequence[_Lanes], at: Sequence[Any], of_rows: Any = of_rows, source: Any = source
        ) -> list[_Lanes]:
            lanes = code.load(code.at(source, at[1]))
            return [
                total + code.everywhere(code.at(weight, at[0])) * lanes
                for total, weight in zip(sums, of_rows, strict=True)
            ]

        sums = code.summed(sums, terms, (by_term, line), body)
    places = code.steps(code.at(to, add(out, scale(row, line))), line, rows)
    for total, at in zip(sums, places, strict=True):
        code.store(total, at)


def _write_correlated(code: _Code, columns: int, *values: Any) -> None:
    """Add sums over steps and lanes of 4 rows of one times columns of another to a matrix."""
    (to, out, width, a, a_at, a_step, x, x_at, x_step, steps) = values
    line = _INT(LANES)
    rows_of = code.steps(code.at(a, a_at), line, GATES)
    columns_of = code.steps(code.at(x, x_at), line, columns)

    def body(sums: Sequence[_Lanes], at: Sequence[Any]) -> list[_Lanes]:
        rows = [code.load(code.at(row, at[0])) for row in rows_of]
        read = [code.load(code.at(column, at[1])) for column in columns_of]
        pairs = [(row, column) for row in rows for column in read]
        return [total + row * column for total, (row, column) in zip(sums, pairs, strict=True)]

    sums = code.summed([code.zero()] * (GATES * columns), steps, (a_step, x_step), body)
    for n, row in enumerate(code.steps(code.at(to, out), width, GATES)):
        for m, at in enumerate(code.steps(row, _INT(1), columns)):
            code.add(sums[n * columns + m], at)


def _write_forward(code: _Code, *values: Any) -> None:
    """From a unit's four inputs to its cell and its output."""
    (gates, at, apart, cells, before, after, shown, shown_at, outputs, out) = values
    places = code.steps(code.at(gates, at), apart, GATES)
    inputs = [code.load(place) for place in places]
    i, f, o = (_sigmoid(inputs[n]) for n in (0, 1, 3))
    g = tanh(inputs[2])
    cell = f * code.load(code.at(cells, before)) + i * g
    squashed = tanh(cell)
    for lanes, place in zip((i, f, g, o), places, strict=True):
        code.store(lanes, place)
    code.store(cell, code.at(cells, after))
    code.store(squashed, code.at(shown, shown_at))
    code.store(o * squashed, code.at(outputs, out))


def _write_backward(code: _Code, *values: Any) -> None:
    """From a unit's gradients of cell and output to those of its four inputs, in their place."""
    (gates, at, apart, cells, before, shown, shown_at, d_out, d_out_at, d_next, d_cell, unit) = (
        values
    )
    places = code.steps(code.at(gates, at), apart, GATES)
    i, f, g, o = (code.load(place) for place in places)
    squashed = code.load(code.at(shown, shown_at))
    d_output = code.load(code.at(d_out, d_out_at)) + code.load(code.at(d_next, unit))
    d = code.load(code.at(d_cell, unit)) + d_output * o * (1.0 - squashed * squashed)
    made = (
        d * g * i * (1.0 - i),
        d * code.load(code.at(cells, before)) * f * (1.0 - f),
        d * i * (1.0 - g * g),
        d_output * squashed * o * (1.0 - o),
    )
    for lanes, place in zip(made, places, strict=True):
        code.store(lanes, place)
    code.store(d * f, code.at(d_cell, unit))


def _of(write: Callable[..., None], size: int) -> Any:
    return written(lambda code, *values: write(code, size, *values))


_product8, _product4, _product1 = (_of(_write_product, rows) for rows in (8, 4, 1))
_correlated_many, _correlated1 = (_of(_write_correlated, count) for count in (_COLUMNS, 1))
_forward_unit, _backward_unit = written(_write_forward), written(_write_backward)


class Network(NamedTuple):
    """What a network looks like: L, H, T and O."""

    layers: int
    width: int
    steps: int
    outputs: int

    @property
    def parameters(self) -> int:
        """P."""
        width = self.width
        first, others = GATES * width * (width + 2), GATES * width * (2 * width + 1)
        return first + (self.layers - 1) * others + self.outputs * (width + 1)


class Room(NamedTuple):
    """What a network needs while its turn lasts, float32 but for the masks' own."""

    series: Any  # (T, lanes)
    gates: Any  # (L, T, 4H, lanes)
    cells: Any  # (L, T + 1, H, lanes)
    shown: Any  # (L, T, H, lanes): tanh of the cell
    outputs: Any  # (L, T + 1, H, lanes)
    kept: Any  # (L - 1, T, H, lanes), with dropout: 0 or 1 / (1 - p)
    dropped: Any  # likewise: what the layer above reads
    d_outputs: Any  # (T, H, lanes)
    d_next: Any  # (H, lanes): what the next step says of the output
    d_cell: Any  # (H, lanes)
    forecast: Any  # (O, lanes): also its gradient
    ones: Any  # (lanes)
    nil: Any  # (H): zeros
    gradient: Any  # (P)


def room(networks: Sequence[Network], *, dropout: bool) -> Room:
    """Make room for the largest of networks."""

    def most(count: Callable[[Network], int]) -> NDArray[np.float32]:
        # From the start of a cache line on.
        size = LANES * max(map(count, networks))
        buffer = np.zeros(size + 16, np.float32)
        first = -buffer.ctypes.data % 64 // _SIZE
        return buffer[first : first + size]

    def between(n: Network) -> int:
        return (n.layers - 1) * n.steps * n.width if dropout else 0

    made = Room(
        series=most(lambda n: n.steps),
        gates=most(lambda n: n.layers * n.steps * GATES * n.width),
        cells=most(lambda n: n.layers * (n.steps + 1) * n.width),
        shown=most(lambda n: n.layers * n.steps * n.width),
        outputs=most(lambda n: n.layers * (n.steps + 1) * n.width),
        kept=most(between),
        dropped=most(between),
        d_outputs=most(lambda n: n.steps * n.width),
        d_next=most(lambda n: n.width),
        d_cell=most(lambda n: n.width),
        forecast=most(lambda n: n.outputs),
        ones=most(lambda _: 1),
        nil=most(lambda n: -(-n.width // LANES)),
        gradient=most(lambda n: -(-n.parameters // LANES)),
    )
    made.ones[:] = 1
    return made


_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True}
_ANY_ORDER: dict[str, Any] = {"fastmath": {"contract", "reassoc", "nsz"}}
_NUMBERS, _BYTES = float32[::1], uint8[::1]
_TABLE, _ROWS = float32[:, ::1], int64[::1]
# As plain tuples: what is kept names no class that a later version may not have.
_NETWORK = types.UniTuple(int64, len(Network._fields))
_RATES = types.UniTuple(float64, 7)
_ROOM = types.UniTuple(_NUMBERS, len(Room._fields))


def _compiled(signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    options = {**_OPTIONS, **options}

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return njit(signature, cache=True, **options)(function)
        except RuntimeError:  # nowhere to keep it: each process compiles it anew
            return njit(signature, **options)(function)

    return decorate


@njit(**_OPTIONS)
def _multiply(
    to: Any, out: int, rows: int, bias: Any, bias_at: int, weights: Any, sources: Any
) -> None:
    """Write a bias and the products of weights with sources.

    The last tile does some rows again where they would not fill it.

    Args:
        to, out: (rows, lanes): an array, and where in it; likewise below.
        rows: how many.
        bias, bias_at: (rows,).
        weights: of all sources.
        sources: of each where its weights begin, how far apart they are by row and by term, how
            many terms it has, and itself, (terms, lanes).
    """
    row = 0
    while rows - row > 4 and rows >= 8:
        row = min(row, rows - 8)
        _product8(row, to, out, bias, bias_at, weights, sources)
        row += 8
    while row < rows and rows >= 4:
        row = min(row, rows - 4)
        _product4(row, to, out, bias, bias_at, weights, sources)
        row += 4
    while row < rows:
        _product1(row, to, out, bias, bias_at, weights, sources)
        row += 1


@njit(**_OPTIONS)
def _correlate(
    to: Any, out: int, width: int, rows: int, a: Any, a_at: int, x: Any, x_at: int, x_step: int,
    steps: int,
) -> None:  # fmt: skip
    """Add the gradient of weights (rows, width) by what they put out, a, and what they read, x."""
    for row in range(0, rows, GATES):
        column = 0
        while column + _COLUMNS <= width:
            _correlated_many(
                to, out + row * width + column, width, a, a_at + row * LANES, rows * LANES,
                x, x_at + column * LANES, x_step, steps,
            )  # fmt: skip
            column += _COLUMNS
        while column < width:
            _correlated1(
                to, out + row * width + column, width, a, a_at + row * LANES, rows * LANES,
                x, x_at + column * LANES, x_step, steps,
            )  # fmt: skip
            column += 1


@njit(**_OPTIONS)
def _forward(network: Any, weights: Any, room: Any, keep: bool, dropped: bool) -> None:
    """Forecast a block; keep what the backward pass needs."""
    layers, width, steps, outputs = network
    rows, line = GATES * width, width * LANES
    per_gates, per_cells = (GATES * line, line) if keep else (0, 0)
    source, source_at, below, at = room.series, 0, 1, 0
    for layer in range(layers):
        hidden = at + rows * below
        bias = hidden + rows * width
        gates, cells = layer * steps * per_gates, layer * (steps + 1) * per_cells
        shown, out = layer * steps * per_cells, layer * (steps + 1) * line
        room.cells[cells : cells + line] = 0
        room.outputs[out : out + line] = 0
        for step in range(steps):
            now = gates + step * per_gates
            read = (at, below, 1, below, source, source_at + step * below * LANES)
            last = (hidden, width, 1, width, room.outputs, out + step * line)
            _multiply(room.gates, now, rows, weights, bias, weights, (read, last))
            before, to = cells + step * per_cells, out + (step + 1) * line
            for unit in range(0, line, LANES):
                _forward_unit(
                    room.gates, now + unit, line,
                    room.cells, before + unit, before + per_cells + unit,
                    room.shown, shown + step * per_cells + unit, room.outputs, to + unit,
                )  # fmt: skip
        source, source_at = room.outputs, out + line
        if dropped and layer < layers - 1:
            first = layer * steps * line
            for n in range(steps * line):
                room.dropped[first + n] = room.outputs[source_at + n] * room.kept[first + n]
            source, source_at = room.dropped, first
        below, at = width, bias + rows
    shown_to_head = (at, width, 1, width, room.outputs, layers * (steps + 1) * line - line)
    bias = at + outputs * width
    _multiply(room.forecast, 0, outputs, weights, bias, weights, (shown_to_head,))


@njit(**_OPTIONS, **_ANY_ORDER)
def _head_gradient(network: Any, room: Any, at: int) -> None:
    layers, width, steps, outputs = network
    last = (layers * (steps + 1) - 1) * width * LANES
    for o in range(outputs):
        d_forecast = room.forecast[o * LANES : (o + 1) * LANES]
        for unit in range(width):
            read = room.outputs[last + unit * LANES : last + (unit + 1) * LANES]
            total = float32(0)
            for lane in range(LANES):
                total += d_forecast[lane] * read[lane]
            room.gradient[at + o * width + unit] += total
        total = float32(0)
        for lane in range(LANES):
            total += d_forecast[lane]
        room.gradient[at + outputs * width + o] += total


@njit(**_OPTIONS)
def _backward(network: Any, weights: Any, room: Any, dropped: bool) -> None:
    """Add a block's gradients, by what the forward pass kept."""
    layers, width, steps, outputs = network
    rows, line = GATES * width, width * LANES
    at = rows * (width + 2) + (layers - 1) * rows * (2 * width + 1)
    _head_gradient(network, room, at)
    room.d_outputs[: (steps - 1) * line] = 0
    source = (at, 1, width, outputs, room.forecast, 0)
    _multiply(room.d_outputs, (steps - 1) * line, width, room.nil, 0, weights, (source,))
    for layer in range(layers - 1, -1, -1):
        below = width if layer else 1
        bias = at - rows
        hidden = bias - rows * width
        at = hidden - rows * below
        gates, cells = layer * steps * GATES * line, layer * (steps + 1) * line
        shown = layer * steps * line
        room.d_next[:line] = 0
        room.d_cell[:line] = 0
        for step in range(steps - 1, -1, -1):
            now = gates + step * GATES * line
            for unit in range(0, line, LANES):
                _backward_unit(
                    room.gates, now + unit, line, room.cells, cells + step * line + unit,
                    room.shown, shown + step * line + unit,
                    room.d_outputs, step * line + unit, room.d_next, room.d_cell, unit,
                )  # fmt: skip
            if step:
                source = (hidden, 1, width, rows, room.gates, now)
                _multiply(room.d_next, 0, width, room.nil, 0, weights, (source,))
            if layer:
                source = (at, 1, width, rows, room.gates, now)
                _multiply(room.d_outputs, step * line, width, room.nil, 0, weights, (source,))
        _correlate(
            room.gradient, hidden, width, rows, room.gates, gates, room.outputs, cells, line, steps
        )
        _correlate(room.gradient, bias, 1, rows, room.gates, gates, room.ones, 0, 0, steps)
        if layer == 0:
            _correlate(room.gradient, at, 1, rows, room.gates, gates, room.series, 0, LANES, steps)
        elif dropped:
            first = (layer - 1) * steps * line
            for n in range(steps * line):
                room.d_outputs[n] *= room.kept[first + n]
            _correlate(
                room.gradient, at, width, rows, room.gates, gates, room.dropped, first, line, steps
            )
        else:
            first = cells - steps * line
            _correlate(
                room.gradient, at, width, rows, room.gates, gates, room.outputs, first, line, steps
            )


@njit(**_OPTIONS)
def _read(room: Any, inputs: Any, order: Any, first: int, used: int) -> None:
    """Take a block's series: rows of a table in an order, the last one again where it ends."""
    for lane in range(LANES):
        row = order[first + min(lane, used - 1)]
        for step in range(inputs.shape[1]):
            room.series[step * LANES + lane] = inputs[row, step]


@njit(**_OPTIONS)
def _read_masks(network: Any, room: Any, masks: Any, size: int, block: int, scale: Any) -> None:
    """Take a block's masks from its batch's: (L - 1, T, size, H), 0 or 1."""
    width = network.width
    for between in range((network.layers - 1) * network.steps):
        for lane in range(LANES):
            row = (between * size + min(block + lane, size - 1)) * width
            for unit in range(width):
                kept = masks[row + unit] * scale
                room.kept[(between * width + unit) * LANES + lane] = kept


@njit(**_OPTIONS)
def _error(network: Any, room: Any, targets: Any, order: Any, first: int, used: int) -> float:
    """Return the sum of a block's absolute errors; put their signs in the forecast's place."""
    error = 0.0
    for output in range(network.outputs):
        for lane in range(LANES):
            at = output * LANES + lane
            if lane < used:
                difference = room.forecast[at] - targets[order[first + lane], output]
                error += abs(difference)
                room.forecast[at] = float32(difference > 0) - float32(difference < 0)
            else:
                room.forecast[at] = 0
    return error


@njit(**_OPTIONS, **_ANY_ORDER)
def _clip(gradient: Any, limit: Any) -> None:
    """Do as torch.nn.utils.clip_grad_norm_ does: infinities become NaN, the rest of theirs 0."""
    total = float32(0)
    for n in range(len(gradient)):
        total += gradient[n] * gradient[n]
    factor = limit / (np.sqrt(total) + float32(1e-6))
    if factor > 1:
        factor = float32(1)
    for n in range(len(gradient)):
        gradient[n] *= factor


@njit(**_OPTIONS, fastmath={"contract"})
def step(weights: Any, first: Any, second: Any, gradient: Any, rates: Any, taken: int) -> None:
    """Take one of Adam's steps: see :mod:`sinesweep.fused.adam`."""
    lr, beta1, beta2, eps, in_gradient, apart, limit = rates
    if limit < np.inf:
        _clip(gradient, float32(limit))
    scale, corrected = float32(-lr / (1 - beta1**taken)), float32(1 / np.sqrt(1 - beta2**taken))
    lerp, keep, add = float32(1 - beta1), float32(beta2), float32(1 - beta2)
    shrink, little = float32(1 - lr * apart), float32(eps)
    if in_gradient != 0:
        decay = float32(in_gradient)
        for n in range(len(weights)):
            gradient[n] += decay * weights[n]
    for n in range(len(weights)):
        g = gradient[n]
        m = first[n] + lerp * (g - first[n])
        s = keep * second[n] + add * g * g
        first[n], second[n] = m, s
        weights[n] = shrink * weights[n] + scale * m / (np.sqrt(s) * corrected + little)


@_compiled(
    float64(
        _NETWORK, _NUMBERS, _NUMBERS, _NUMBERS, _RATES, int64,
        _TABLE, _TABLE, _ROWS, int64, _BYTES, float32, _ROOM,
    )
)  # fmt: skip
def train(
    network: Any, weights: Any, first: Any, second: Any, rates: Any, taken: int,
    inputs: Any, targets: Any, order: Any, batch_size: int, masks: Any, scale: float, room: Any,
) -> float:  # fmt: skip
    """Train an epoch.

    Args:
        network: what it looks like, a :class:`Network` as a plain tuple.
        weights: (P,), changed.
        first, second: the moments, (P,), changed.
        rates: of its optimizer, :class:`sinesweep.fused.adam.Rates` as a plain tuple.
        taken: steps that the optimizer has behind it.
        inputs: (N, T).
        targets: (N, O).
        order: of the rows, (N,).
        batch_size: rows of a batch.
        masks: dropout below each layer but the first: for each batch, one after the other, 0 or 1,
            (L - 1, T, B, H). Empty where there is none.
        scale: 1 / (1 - p).
        room: large enough, a :class:`Room` as a plain tuple.

    Returns:
        The sum of absolute errors, as it went.
    """
    network, room = Network(*network), Room(*room)
    error, start_of_masks = 0.0, 0
    per_row = (network.layers - 1) * network.steps * network.width
    has_masks = len(masks) > 0
    gradient = room.gradient[: len(weights)]
    for start in range(0, len(order), batch_size):
        size = min(batch_size, len(order) - start)
        gradient[:] = 0
        part = float32(1) / float32(size * network.outputs)
        for block in range(0, size, LANES):
            used = min(LANES, size - block)
            _read(room, inputs, order, start + block, used)
            if has_masks:
                _read_masks(network, room, masks[start_of_masks:], size, block, scale)
            _forward(network, weights, room, True, has_masks)
            error += _error(network, room, targets, order, start + block, used)
            for n in range(network.outputs * LANES):
                room.forecast[n] *= part
            _backward(network, weights, room, has_masks)
        start_of_masks += per_row * size
        taken += 1
        step(weights, first, second, gradient, rates, taken)
    return error


@_compiled(float64(_NETWORK, _NUMBERS, _TABLE, _TABLE, _ROWS, _ROOM))
def evaluate(network: Any, weights: Any, inputs: Any, targets: Any, order: Any, room: Any) -> float:
    """Return the sum of absolute errors on a set; arguments as for :func:`train`."""
    network, room = Network(*network), Room(*room)
    error = 0.0
    for start in range(0, len(order), LANES):
        used = min(LANES, len(order) - start)
        _read(room, inputs, order, start, used)
        _forward(network, weights, room, False, False)
        error += _error(network, room, targets, order, start, used)
    return error
