"""FastAPI, as in the tutorials."""

from typing import Any

from fastapi import FastAPI
from model import predict
from pydantic import BaseModel

app = FastAPI()


class Row(BaseModel):
    features: list[float] | dict[str, Any]


@app.post("/predict")
async def answer(row: Row):
    return {"prediction": predict(row.features)}
