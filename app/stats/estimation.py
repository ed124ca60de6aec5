"""Performance where labels are few, late or absent: one door to the estimators, each naming what it assumes.

no label            cbpe (from score histograms), top_class (multiclass), atc as a second opinion
some labels         ppi_rate, ppi_mean; ppi_anytime or ppi_betting while they come
bought labels       weighed_metrics, plan: whom to ask, and each answer counted for those like it
late labels         arrived_rate, mature_rate: weighed by the chance to have come, or waited for
labels come later   grade: did the realised value lie where it was announced

What looks at features fits models and lives in `reweighting` (m_cbpe, dle), for workers. No estimate without labels can
see concept drift (P(outcome | score) changed), so none may promote a model; the gap to what is realised is monitored.
"""

from app.stats.atc import atc, differs
from app.stats.cbpe import METRICS, UNCHANGED, LabelFree, cbpe, count_scores, top_class
from app.stats.grading import Grade, Report, grade
from app.stats.late import arrived_rate, curve_of_labelled, mature_rate
from app.stats.ppi import ppi_anytime, ppi_betting, ppi_mean, ppi_rate
from app.stats.recalibration import Recalibration
from app.stats.selective import plan
from app.stats.weighed import Weighed, weighed_metrics

__all__ = [
    "METRICS",
    "UNCHANGED",
    "Grade",
    "LabelFree",
    "Recalibration",
    "Report",
    "Weighed",
    "arrived_rate",
    "atc",
    "cbpe",
    "count_scores",
    "curve_of_labelled",
    "differs",
    "grade",
    "mature_rate",
    "plan",
    "ppi_anytime",
    "ppi_betting",
    "ppi_mean",
    "ppi_rate",
    "top_class",
    "weighed_metrics",
]
