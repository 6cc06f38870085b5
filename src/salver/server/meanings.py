"""What each error code means and what to do about it, for people: on the docs page and in docs/errors.md."""

from __future__ import annotations

MEANING = {
    "invalid_json": "The body is not JSON in UTF-8. NaN and Infinity as Python writes them are understood.",
    "invalid_body": "The body is JSON of another structure than the route takes. The text says which part.",
    "invalid_reference": "A model is named by letters, digits, '_', '-' and '.', with '@' before a version: iris, iris@3.",
    "invalid_input": "The rows do not fit the model.",
    "wrong_type": "A value has another type than its column. The answer names the row, the column and what it takes.",
    "wrong_width": "A row has more or fewer values than the model has columns.",
    "wrong_shape": "A tensor has another shape than its input, or the columns have different numbers of rows.",
    "missing_value": "A value is missing where the model takes none. It had none missing in training either.",
    "missing_column": "A column that the model needs is not in the request.",
    "unknown_column": "The request has a column that the model does not have. Names are compared letter by letter.",
    "unseen_category": "A category that training did not see, in a column where the model can't take one.",
    "not_finite": "An infinite number, or one too large for the model's own precision, where it takes none.",
    "out_of_range": "A number outside of the range that training saw, in a column whose policy refuses it.",
    "no_probabilities": "Probabilities were asked for, and the model gives none.",
    "not_found": "There is nothing at this address. This page lists the routes.",
    "unknown_model": "No model of that name is served here. GET /models lists those that are.",
    "unknown_version": "The model has no version or alias of that name. GET /models lists what is served.",
    "model_not_named": "Several models are served, so the route must name one: POST /models/NAME/predict.",
    "method_not_allowed": "The route takes another method; the Allow header says which.",
    "too_large": "The body or the number of rows is over a limit. Send the rows in parts.",
    "unsupported_encoding": "The body's content-encoding is none that is read here: identity, gzip, deflate.",
    "overloaded": "The model's queue is full. Nothing was done; try again after the seconds in Retry-After.",
    "unavailable": "The model can't answer now. Try again after the seconds in Retry-After.",
    "loading": "The model is still being loaded. Try again after the seconds in Retry-After.",
    "model_crashed": "The model's own process ended during the prediction. It is started again for the next request.",
    "log_unavailable": "The prediction could not be logged, so it is not answered. The disk may be full.",
    "prediction_failed": "The model itself raised an error on rows that fit its columns. The server's log has the details.",
    "internal": "Something went wrong in the server. Its log has the details.",
    "artifact": "A stored model is damaged, or not what its manifest says.",
    "model_file": "A file is not a model that can be read.",
    "lowering": "A model has no faster form. It is then served by its own framework.",
    "config": "A setting makes no sense.",
}
"""By code, every one of `salver.server.problems.STATUS`."""
