"""Look-alike cohorts with known truth, in published layouts; no code shared with the readers."""

from dolorimeter.synthesis.kinds import KINDS
from dolorimeter.synthesis.making import synthesise
from dolorimeter.synthesis.truth import Bayes, Truth

__all__ = ["KINDS", "Bayes", "Truth", "synthesise"]
