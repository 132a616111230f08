"""Synthetic cohorts with known truth; no code shared with the readers."""

from dolorimeter.synthesis.adversarial import AdversarialCohort, adversarial_cohort
from dolorimeter.synthesis.kinds import KINDS
from dolorimeter.synthesis.making import synthesise
from dolorimeter.synthesis.truth import Bayes, Truth

__all__ = [
    "KINDS",
    "AdversarialCohort",
    "Bayes",
    "Truth",
    "adversarial_cohort",
    "synthesise",
]
