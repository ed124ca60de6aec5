"""Two models of the first two months: a logistic regression (champion) and boosted trees (challenger).

Only the demo's own process imports this: scikit-learn takes seconds to load and has no place in a server.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from app.cli.demo.flights import CATEGORIES, NEVER, NUMBERS, Flights
from app.cli.demo.setup import CHALLENGER, CHAMPION


def scores(training: Flights, wanted: Flights, kept: Path) -> dict[str, NDArray[np.float64]]:
    """P(late) of each wanted flight by version; kept in a file, so that a demo that goes on says the same."""
    if kept.exists():
        with np.load(kept) as stored:
            found = {version: stored[version] for version in (CHAMPION, CHALLENGER)}
        if all(len(column) == len(wanted) for column in found.values()):
            return found
    landed = training.take(training.landed_at != NEVER)
    table = _table(wanted)
    found = {
        version: np.round(model.fit(_table(landed), landed.late).predict_proba(table)[:, 1], 6)
        for version, model in ((CHAMPION, _logistic()), (CHALLENGER, _boosted()))
    }
    kept.parent.mkdir(parents=True, exist_ok=True)
    np.savez(kept, **found)
    return found


def _table(flights: Flights) -> NDArray[np.object_]:
    """n × features: first the categories, then the numbers."""
    columns = [flights.categories[name] for name in CATEGORIES] + [flights.numbers[name] for name in NUMBERS]
    return np.array(columns, dtype=object).T


_FIRST, _REST = list(range(len(CATEGORIES))), list(range(len(CATEGORIES), len(CATEGORIES) + len(NUMBERS)))


def _logistic() -> Pipeline:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), _FIRST), ("n", numbers, _REST)])
    return make_pipeline(columns, LogisticRegression(max_iter=500))


def _boosted() -> Pipeline:
    categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = ColumnTransformer([("c", categories, _FIRST), ("n", "passthrough", _REST)])
    trees = HistGradientBoostingClassifier(
        categorical_features=_FIRST, learning_rate=0.06, max_leaf_nodes=15, random_state=0
    )
    return make_pipeline(columns, trees)
