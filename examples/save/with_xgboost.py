"""XGBoost: categories as pandas has them; the strings mean what they meant in training."""

import json

from people import people
from xgboost import XGBClassifier

import salver

X, y = people(1000, seed=1)
model = XGBClassifier(n_estimators=50, enable_categorical=True).fit(X, y == "stays")

held_out, labels = people(500, seed=2)
salver.save(model, "customers-xgboost", sample=held_out, labels=labels == "stays")

rows = held_out.head(20)
print(json.dumps({"rows": json.loads(rows.to_json(orient="records")), "predictions": model.predict(rows).tolist()}))
