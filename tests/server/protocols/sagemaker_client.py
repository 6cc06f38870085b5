"""Ask a container with SageMaker's own client code: `python sagemaker_client.py PORT`, in an environment that has it.

It prints what its predictor got for the rows 1, 2 and 3, 4, by each pair of serializer and deserializer, as one JSON object.
"""

from __future__ import annotations

import json
import sys

import boto3
import numpy as np
from sagemaker.base_deserializers import CSVDeserializer, JSONDeserializer, NumpyDeserializer
from sagemaker.base_serializers import CSVSerializer, JSONSerializer, NumpySerializer
from sagemaker.local import LocalSession
from sagemaker.predictor import Predictor

PAIRS = {
    "json": (JSONSerializer(), JSONDeserializer()),
    "csv": (CSVSerializer(), CSVDeserializer()),
    "npy": (NumpySerializer(), NumpyDeserializer()),
    "csv to json": (CSVSerializer(), JSONDeserializer()),
}

session = LocalSession(boto3.Session(region_name="eu-central-1"))
session.sagemaker_runtime_client.config = {"local": {"serving_port": int(sys.argv[1])}}
got = {}
for name, (serializer, deserializer) in PAIRS.items():
    predictor = Predictor("any", session, serializer, deserializer)
    got[name] = np.asarray(predictor.predict(np.array([[1.0, 2.0], [3.0, 4.0]])), float).ravel().tolist()
print(json.dumps(got))
