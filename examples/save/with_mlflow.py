"""MLflow: a model folder; the model inside is lowered as its file alone would be."""

import json

import mlflow
from sklearn.datasets import load_wine
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import salver

X, y = load_wine(return_X_y=True, as_frame=True)
X = X.iloc[:, :5]
model = make_pipeline(StandardScaler(), Ridge()).fit(X, y)
mlflow.sklearn.save_model(model, "wine_folder", signature=mlflow.models.infer_signature(X, model.predict(X)))

salver.save("wine_folder", "wine-mlflow", sample=X, labels=y)

rows = X.head(20)
print(json.dumps({"rows": rows.to_dict("records"), "predictions": model.predict(rows).tolist()}))
