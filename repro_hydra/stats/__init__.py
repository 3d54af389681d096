"""Statistics of few seeds: arrays in, results out. No Hydra, no files, no torch.

NumPy and SciPy do the mathematics, and are imported when a function first needs them, so importing this package
costs next to nothing. What cannot be known is None, with its reason in `notes`; a result is never NaN.
"""

from repro_hydra.stats.bootstrap import bootstrap_interval as bootstrap_interval
from repro_hydra.stats.compare import Difference as Difference
from repro_hydra.stats.compare import holm as holm
from repro_hydra.stats.compare import paired_t_test as paired_t_test
from repro_hydra.stats.compare import welch_t_test as welch_t_test
from repro_hydra.stats.effect import EffectSize as EffectSize
from repro_hydra.stats.effect import ProbabilityOfImprovement as ProbabilityOfImprovement
from repro_hydra.stats.effect import hedges_g as hedges_g
from repro_hydra.stats.effect import probability_of_improvement as probability_of_improvement
from repro_hydra.stats.intervals import Interval as Interval
from repro_hydra.stats.intervals import mean_interval as mean_interval
from repro_hydra.stats.intervals import prediction_interval as prediction_interval
from repro_hydra.stats.intervals import tolerance_factor as tolerance_factor
from repro_hydra.stats.intervals import tolerance_interval as tolerance_interval
from repro_hydra.stats.pairing import PairedSeeds as PairedSeeds
from repro_hydra.stats.pairing import compare_by_seed as compare_by_seed
from repro_hydra.stats.pairing import pair_by_seed as pair_by_seed
from repro_hydra.stats.permutation import PairedTest as PairedTest
from repro_hydra.stats.permutation import sign_flip_test as sign_flip_test
from repro_hydra.stats.permutation import wilcoxon_test as wilcoxon_test
from repro_hydra.stats.power import SeedsNeeded as SeedsNeeded
from repro_hydra.stats.power import power_of_t_test as power_of_t_test
from repro_hydra.stats.power import seeds_for_difference as seeds_for_difference
from repro_hydra.stats.power import seeds_for_half_width as seeds_for_half_width
from repro_hydra.stats.power import seeds_for_power as seeds_for_power
from repro_hydra.stats.profile import PerformanceProfile as PerformanceProfile
from repro_hydra.stats.profile import interquartile_mean_interval as interquartile_mean_interval
from repro_hydra.stats.profile import performance_profile as performance_profile
from repro_hydra.stats.robust import NormalityCheck as NormalityCheck
from repro_hydra.stats.robust import TrimmedMean as TrimmedMean
from repro_hydra.stats.robust import interquartile_mean as interquartile_mean
from repro_hydra.stats.robust import interquartile_means as interquartile_means
from repro_hydra.stats.robust import normality_check as normality_check
from repro_hydra.stats.robust import trimmed_mean as trimmed_mean
from repro_hydra.stats.sequence import t_sequence as t_sequence
from repro_hydra.stats.stein import SteinPlan as SteinPlan
from repro_hydra.stats.stein import stein_interval as stein_interval
from repro_hydra.stats.stein import stein_two_stage as stein_two_stage
from repro_hydra.stats.summary import Summary as Summary
from repro_hydra.stats.summary import summarize as summarize
from repro_hydra.stats.variation import CoefficientOfVariation as CoefficientOfVariation
from repro_hydra.stats.variation import coefficient_of_variation as coefficient_of_variation
from repro_hydra.stats.variation import (
    coefficient_of_variation_interval as coefficient_of_variation_interval,
)
