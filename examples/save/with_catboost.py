"""CatBoost: it counts categories in a way that can't be lowered, so CatBoost itself serves it, in a process of its own."""

import json

from catboost import CatBoostClassifier
from people import people

import salver

X, y = people(1000, seed=1)
model = CatBoostClassifier(iterations=50, cat_features=["plan"], verbose=False, allow_writing_files=False).fit(X, y)

held_out, labels = people(500, seed=2)
salver.save(model, "customers-catboost", sample=held_out, labels=labels)

rows = held_out.head(20)
print(json.dumps({"rows": json.loads(rows.to_json(orient="records")), "predictions": model.predict(rows).ravel().tolist()}))
