"""scikit-learn: a pipeline fed with a DataFrame, strings and missing values in it."""

import json

from people import people
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import salver

X, y = people(1000, seed=1)
columns = make_column_transformer((SimpleImputer(), ["age", "spend"]), (OneHotEncoder(), ["plan"]))
model = make_pipeline(columns, RandomForestClassifier(50, random_state=0)).fit(X, y)

held_out, labels = people(500, seed=2)
salver.save(model, "customers-sklearn", sample=held_out, labels=labels)

rows = held_out.head(20)
print(json.dumps({"rows": json.loads(rows.to_json(orient="records")), "predictions": model.predict(rows).tolist()}))
