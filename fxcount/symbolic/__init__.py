"""The algebra of sizes: exact integer expressions, what is assumed about them, and how they are written.

>>> H = symbol("H")
>>> (H + 6 - 7) // 2 + 1
ceil(H/2)
"""

from fxcount.symbolic.assumption import Assumption
from fxcount.symbolic.bounds import Bounds, is_nonnegative, lower_bound, upper_bound
from fxcount.symbolic.calc import substitute
from fxcount.symbolic.domain import completed_at, holds_at
from fxcount.symbolic.dominance import covers, in_common_terms, largest, largest_sums
from fxcount.symbolic.expr import Expr, Size, SymbolicError, combination, prod, sum_, symbol
from fxcount.symbolic.extrema import alternatives, max_, min_
from fxcount.symbolic.floats import claim_from, plain_claim
from fxcount.symbolic.floor import ceildiv, floordiv, mod
from fxcount.symbolic.parse import parse
from fxcount.symbolic.program import eval_rows, from_rows, to_rows
from fxcount.symbolic.scope import Comparison, Scope
from fxcount.symbolic.shared import SharedTexts, named_sizes, with_shared
from fxcount.symbolic.symfunctions import SYM_FUNCTIONS
from fxcount.symbolic.symint import SymRatio, SymSize, to_size, to_sym
from fxcount.symbolic.sympy_ import from_sympy, largest_to_sympy, to_sympy
from fxcount.symbolic.text import to_latex, to_text
from fxcount.symbolic.unbacked import BRANCH, Unbacked, UnbackedSizes, is_data_dependent
from fxcount.symbolic.values import Factors, evaluate, free_symbols, name_of
from fxcount.symbolic.vector import evaluate_defined, evaluate_many
from fxcount.symbolic.zero import is_zero

__all__ = [
    "BRANCH",
    "SYM_FUNCTIONS",
    "Assumption",
    "Bounds",
    "Comparison",
    "Expr",
    "Factors",
    "Scope",
    "SharedTexts",
    "Size",
    "SymRatio",
    "SymSize",
    "SymbolicError",
    "Unbacked",
    "UnbackedSizes",
    "alternatives",
    "ceildiv",
    "claim_from",
    "combination",
    "completed_at",
    "covers",
    "eval_rows",
    "evaluate",
    "evaluate_defined",
    "evaluate_many",
    "floordiv",
    "free_symbols",
    "from_rows",
    "from_sympy",
    "holds_at",
    "in_common_terms",
    "is_data_dependent",
    "is_nonnegative",
    "is_zero",
    "largest",
    "largest_sums",
    "largest_to_sympy",
    "lower_bound",
    "max_",
    "min_",
    "mod",
    "name_of",
    "named_sizes",
    "parse",
    "plain_claim",
    "prod",
    "substitute",
    "sum_",
    "symbol",
    "to_latex",
    "to_rows",
    "to_size",
    "to_sym",
    "to_sympy",
    "to_text",
    "upper_bound",
    "with_shared",
]
