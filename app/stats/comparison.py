"""Which of two or more models is better: one door to the tests, each for the data it is honest with.

same items            mcnemar, tango, newcombe_paired (accuracy); delong_pair, auc_bootstrap (ROC AUC); paired_accuracy
folds of one data set nadeau_bengio, five_by_two_f, five_by_two_t; correlated_bayes for a practical difference
many data sets        wilcoxon (two models); friedman, critical_difference, against_control (more)
any statistic         bca, by rows or by clusters

Refused on purpose: the t-test on raw folds, looking whether two intervals overlap, Wilcoxon with fewer than 6 pairs.
Many comparisons at once go through `multiplicity`.
"""

from app.stats.areas import auc_bootstrap
from app.stats.bootstrap import bca, mean_of, paired_accuracy, ratio_of
from app.stats.folds import Practical, correlated_bayes, five_by_two_f, five_by_two_t, nadeau_bengio
from app.stats.friedman import Ranking, against_control, critical_difference, friedman
from app.stats.paired import (
    delong_pair,
    mcnemar,
    mcnemar_chi2,
    mcnemar_exact,
    mcnemar_log_e,
    mcnemar_mid_p,
    newcombe_paired,
    tango,
)
from app.stats.signedranks import wilcoxon
from app.stats.tested import Tested

__all__ = [
    "Practical",
    "Ranking",
    "Tested",
    "against_control",
    "auc_bootstrap",
    "bca",
    "correlated_bayes",
    "critical_difference",
    "delong_pair",
    "five_by_two_f",
    "five_by_two_t",
    "friedman",
    "mcnemar",
    "mcnemar_chi2",
    "mcnemar_exact",
    "mcnemar_log_e",
    "mcnemar_mid_p",
    "mean_of",
    "nadeau_bengio",
    "newcombe_paired",
    "paired_accuracy",
    "ratio_of",
    "tango",
    "wilcoxon",
]
