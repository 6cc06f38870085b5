"""Converters and landmarks, one module a family of estimators. Importing this package registers them all."""

from salver.lower.estimators import bases as bases
from salver.lower.estimators import bayes as bayes
from salver.lower.estimators import catboost as catboost
from salver.lower.estimators import clusters as clusters
from salver.lower.estimators import committees as committees
from salver.lower.estimators import decompositions as decompositions
from salver.lower.estimators import encoders as encoders
from salver.lower.estimators import examples as examples
from salver.lower.estimators import hist_trees as hist_trees
from salver.lower.estimators import kernels as kernels
from salver.lower.estimators import lightgbm as lightgbm
from salver.lower.estimators import linear as linear
from salver.lower.estimators import neighbors as neighbors
from salver.lower.estimators import pipelines as pipelines
from salver.lower.estimators import projections as projections
from salver.lower.estimators import scalers as scalers
from salver.lower.estimators import trees as trees
from salver.lower.estimators import xgboost as xgboost
