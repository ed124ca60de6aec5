"""Performance where labels are few, late or absent: one door to the estimators, each naming what it assumes.

no label            cbpe (from score histograms), top_class (multiclass), atc as a second opinion
some labels         ppi_rate, ppi_mean; ppi_anytime or ppi_betting while they come
labels come later   grade: did the realised value lie where it was announced

What looks at features fits models and lives in `reweighting` (m_cbpe, dle), for workers. No estimate without labels can
see concept drift (P(outcome | score) changed), so none may promote a model; the gap to what is realised is monitored.
"""

from app.stats.atc import atc, differs
from app.stats.cbpe import METRICS, UNCHANGED, LabelFree, cbpe, count_scores, top_class
from app.stats.grading import Grade, Report, grade
from app.stats.ppi import ppi_anytime, ppi_betting, ppi_mean, ppi_rate
from app.stats.recalibration import Recalibration

__all__ = [
    "METRICS",
    "UNCHANGED",
    "Grade",
    "LabelFree",
    "Recalibration",
    "Report",
    "atc",
    "cbpe",
    "count_scores",
    "differs",
    "grade",
    "ppi_anytime",
    "ppi_betting",
    "ppi_mean",
    "ppi_rate",
    "top_class",
]
