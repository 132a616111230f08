"""Look-alike cohorts with known truth, in published layouts; no code shared with the readers."""

from dolorimeter.synthesis.making import KINDS, synthesise
from dolorimeter.synthesis.truth import Bayes, Truth

__all__ = ["KINDS", "Bayes", "Truth", "synthesise"]
