"""Flask, as in the tutorials."""

from flask import Flask, jsonify, request
from model import predict

app = Flask(__name__)


@app.post("/predict")
def answer():
    return jsonify({"prediction": predict(request.json["features"])})
