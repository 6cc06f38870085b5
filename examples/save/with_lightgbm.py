"""LightGBM: categories as pandas has them; the strings mean what they meant in training."""

import json

from lightgbm import LGBMClassifier
from people import people

import salver

X, y = people(1000, seed=1)
model = LGBMClassifier(n_estimators=50, verbose=-1).fit(X, y)

held_out, labels = people(500, seed=2)
salver.save(model, "customers-lightgbm", sample=held_out, labels=labels)

rows = held_out.head(20)
print(json.dumps({"rows": json.loads(rows.to_json(orient="records")), "predictions": model.predict(rows).tolist()}))
