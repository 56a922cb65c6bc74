"""Everything Python can ask of an int: what a symbolic size answers. This table drives tests and the one in docs/sizes.md.

Every entry is an expression of the size ``n`` (and of another one, ``m``). How it is answered:

* ``formula``: for all sizes at once; nothing is assumed.
* ``decides``: a plain bool, or a formula that rests on one; the side taken is assumed.
* ``pins``: by the sample value, which is then assumed.
* ``refused``: C code of Python's that takes nothing but an exact int raises its TypeError. An analysis then goes on with all
  sizes pinned.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TABLE", "Row", "as_markdown"]


class Row(NamedTuple):
    group: str
    answer: str
    expressions: tuple[str, ...]


def _row(group: str, answer: str, expressions: str) -> Row:
    return Row(group, answer, tuple(e.strip() for e in expressions.strip().splitlines()))


TABLE = (
    _row("arithmetic", "formula", """
        n + 3
        3 + n
        n - m
        1000 - n
        n * m
        n * True
        -n
        +n
        n // 7
        -n // 7
        n % 7
        n % -7
        n ** 3
        n ** 0
        n << 2
        n >> 3
        n & 31
        n & ~7
        ~n
        divmod(n, 9)
        pow(n, 2, 10)
        n / 2
        n / 3
        n * 0.5
        n * 0.3
        2.5 - n
        n // 2.5
        n % 2.5
        n ** 2.0
        n + np.int64(3)
        np.int32(3) * n
        np.float64(0.5) * n
        n ** 0.5
        n ** 30.0
        (n / 3) ** 20"""),
    _row("arithmetic", "decides", """
        n // m
        n % m
        1000 // n
        1000 % n
        n / m
        1 / n
        abs(n - 100)
        divmod(1000, n)
        n ** -1"""),
    _row("arithmetic", "pins", """
        n | 7
        n ^ 5
        n & 6
        5 | n
        2 ** n
        n ** m
        1 << n
        3 >> n
        pow(n, -1, 997)
        n + 1j
        n * fractions.Fraction(1, 3)
        n ** 100.0
        (n / 2) ** -99"""),
    _row("comparison", "decides", """
        n == 224
        n != 7
        n < 100
        n <= m
        n > 99.5
        n >= 0.1
        100 < n
        n == 224.0
        bool(n - 7)
        not n - 7
        n in [7, 224]
        [7, 49, 224].count(n)
        (3, n) < (3, 100)
        (3, n) == (3, 49)
        max(n, 100)
        min(n, m)
        sorted([n, 100, m])
        any(k % 2 for k in (n, m))
        n and 3
        n / 2 > 30
        1 / n < .01
        n * 0.1 >= 4.9
        n / m == 1
        (n / 2).is_integer()"""),
    _row("comparison", "formula", """
        n == n
        n >= 1
        n == None
        n != "x"
        n < float("inf")
        n / 3 > float("nan")
        sum([n, m, 1])
        sum((n, m), 0.5)
        math.prod([n, 3])"""),
    _row("rounding", "formula", """
        round(n)
        round(n, 2)
        math.floor(n)
        math.ceil(n / 2)
        math.floor(n / 3 + 1)
        math.trunc(n / 4)
        math.ceil(n * .3)
        math.floor(n * 0.7)
        round(n / 3)
        operator.floordiv(n, 2)
        operator.add(n, m)
        operator.mul(n, 3)
        operator.neg(n)
        operator.truediv(n, 4)"""),
    _row("rounding", "decides", """
        round(n / 2)
        math.floor(n / m)"""),
    _row("rounding", "pins", """
        round(n, -2)
        round(n / 3, 1)
        int(n)
        int(n / 2)
        int(n * 0.7)
        float(n)
        complex(n)
        operator.index(n)"""),
    _row("attributes of int", "formula", """
        n.real
        n.imag
        n.numerator
        n.denominator
        n.conjugate()
        n.as_integer_ratio()
        n.__trunc__()
        n.__ceil__()
        n.from_bytes(b"7", "big")"""),
    _row("attributes of int", "pins", """
        n.bit_length()
        n.bit_count()
        n.to_bytes(4, "big")
        n.__index__()
        n.__int__()
        n.__float__()
        n.__getnewargs__()
        n.__sizeof__()"""),
    _row("attributes of float", "formula", """
        (n / 3).real
        (n / 3).imag
        (n / 3).conjugate()
        (n / 3) ** 0.5"""),
    _row("attributes of float", "pins", """
        (n / 3).hex()
        (n / 3).as_integer_ratio()
        str(n / 3)
        hash(n / 2)"""),
    _row("type", "formula", """
        isinstance(n, int)
        isinstance(n, (float, int))
        isinstance(n, numbers.Integral)
        isinstance(n, numbers.Number)
        isinstance(n, bool)
        isinstance(n / 2, float)
        n.__class__ is int
        callable(n)
        np.isscalar(n)
        copy.copy(n)
        copy.deepcopy([n])"""),
    _row("text", "pins", """
        str(n)
        repr(n)
        f"{n}"
        f"{n:05d}"
        f"{n!r:>6}"
        format(n, "x")
        "{:d}".format(n)
        "%d" % n
        "%.1f" % n
        hex(n)
        oct(n)
        bin(n)
        chr(n)
        ascii(n)
        str((3, n))
        str([n])
        repr(torch.Size((3, n)))
        string.Template("$n").substitute(n=n)"""),
    _row("hash", "pins", """
        hash(n)
        hash((3, n))
        {224: 1, 49: 2}.get(n)
        {n: 1}.get(224)
        n in {7, 224}
        len({n, 49, 224})
        frozenset([n]) == {224}
        collections.Counter([n, 224])[224]
        hash(torch.Size((3, n)))
        pickle.loads(pickle.dumps(n))"""),
    _row("as an index or a length", "pins", """
        list(range(n))[-1]
        len([0] * n)
        [0, 1] * n
        "ab" * n
        bytes(n)
        bytearray(n)
        list(range(1000))[n]
        list(range(1000))[:n]
        list(enumerate("ab", n))
        list(itertools.repeat(1, n))
        list(itertools.islice(range(1000), n))
        slice(n).indices(50)
        bisect.bisect([1, 100, 200], int(n))
        random.Random(0).randrange(n)
        struct.pack("i", n)
        ctypes.c_int(n).value
        array.array("i", [n])"""),
    _row("as an index or a length", "formula", """
        next(itertools.count(n))
        list(itertools.accumulate([n, m]))
        torch.Size((n, 3))[0]
        slice(n).stop
        functools.reduce(operator.mul, [n, m, 2])"""),
    _row("as an index or a length", "decides", """
        bisect.bisect([1, 100, 200], n)
        heapq.nsmallest(1, [n, 100])
        heapq.merge([3], [n]).__next__()
        statistics.median([n, 100, 3])"""),
    _row("math", "pins", """
        math.sqrt(n)
        math.isqrt(n)
        math.log(n)
        math.log2(n)
        math.log10(n)
        math.log1p(n)
        math.exp(-n)
        math.expm1(-n)
        math.pow(n, 2)
        math.cbrt(n) if hasattr(math, "cbrt") else float(n)
        math.fabs(n)
        math.gcd(n, 12)
        math.lcm(n, 6)
        math.comb(n, 2)
        math.perm(n, 2)
        math.factorial(n)
        math.fmod(n, 7)
        math.remainder(n, 7)
        math.modf(n / 3)
        math.frexp(n)
        math.ldexp(n, 2)
        math.hypot(n, 3)
        math.dist((n,), (3,))
        math.fsum([n, 3])
        math.copysign(n, -1)
        math.isclose(n, 224)
        math.isfinite(n)
        math.isinf(n)
        math.isnan(n)
        math.degrees(n)
        math.radians(n)
        math.sin(n)
        math.cos(n)
        math.tan(n)
        math.atan(n)
        math.atan2(n, 3)
        math.sinh(n / 1000)
        math.cosh(n / 1000)
        math.tanh(n)
        math.asinh(n)
        math.acosh(n)
        math.erf(n)
        math.erfc(n)
        math.lgamma(n)
        math.nextafter(n, 0)
        math.ulp(n)"""),
    _row("fractions and statistics", "pins", """
        fractions.Fraction(n, 3)
        fractions.Fraction(n) / 3
        statistics.fmean([n, 3])
        statistics.pstdev([n, 3])
        decimal.Decimal(int(n))
        colorsys.rgb_to_hsv(n / 255, 0, 0)[2] if int(n) else 0"""),
    _row("numpy", "formula", """
        np.add(n, 3)
        np.subtract(n, m)
        np.multiply(n, np.int64(3))
        np.negative(n)
        np.square(n)
        np.floor_divide(n, 7)
        np.remainder(n, 7)
        np.divide(n, 4)
        np.ceil(n / 2)
        np.floor(n / 3)
        np.trunc(n / 4)
        np.rint(n / 3)
        np.round(n)
        np.power(n, 2)
        np.maximum(n, 100)
        np.minimum(n, m)
        np.clip(n, 30, 100)
        np.prod(n)
        np.prod([n, 3, m])
        np.prod(torch.Size((n, 3)))
        np.sum(n)
        np.sum([n, m])
        np.max(n)
        np.mean(n)
        np.left_shift(n, 2)
        np.conjugate(n)
        np.real(n)
        int(np.array([3, n])[0])
        np.sqrt(n)
        np.log(n)
        np.log2(n)
        np.log10(n)
        np.exp(-n)
        np.log2(n / 2)"""),
    _row("numpy", "decides", """
        bool(np.less(n, 100))
        bool(np.equal(n, 224))
        bool(np.logical_not(n))
        np.absolute(n - 100)
        np.max([n, 100])
        np.min((n, m))
        bool(np.int64(3) < n)"""),
    _row("numpy", "pins", """
        np.sin(n)
        np.gcd(n, 12)
        np.lcm(n, 6)
        np.float_power(n, 2)
        np.power(2, n % 7)
        np.hypot(n, 3)
        np.sign(n)
        np.isfinite(n)
        np.reciprocal(n / 2)
        np.int64(n)
        np.float32(n)
        np.zeros(n).shape
        np.ones((n, 2)).shape
        np.arange(6).reshape(2, 3) * n
        np.arange(3) + n
        np.where(n > 3, n, 2)
        np.linspace(0, 1, n)
        np.linspace(0, n, 5)
        np.full(3, n, dtype=np.int64)
        np.array([n, 3], dtype=np.int64)
        np.asarray(n, dtype=np.float32)
        np.repeat([1, 2], n)
        np.tile([1, 2], n)
        np.roll(np.arange(5), n)
        np.unravel_index(n, (100, 100))
        np.eye(n).shape"""),
    _row("code that takes only an exact int", "refused", """
        json.dumps(n)
        json.dumps({"size": [n]})
        decimal.Decimal(n)
        datetime.timedelta(seconds=n)
        math.ldexp(1.0, n)
        pow(2, n, 7)
        statistics.mean([n, 3])
        type(n)(5)"""),
)  # fmt: skip


def as_markdown() -> str:
    """The table of docs/sizes.md."""
    lines = ["| what is asked | answer | expressions |", "|---|---|---|"]
    for row in TABLE:
        shown = ", ".join(f"`{e}`".replace("|", "\\|") for e in row.expressions)
        lines.append(f"| {row.group} | {row.answer} | {shown} |")
    return "\n".join(lines)
