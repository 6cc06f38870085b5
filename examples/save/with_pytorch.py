"""PyTorch: a module, exported by torch.export and lowered by PyTorch's own ONNX exporter."""

import json

import numpy as np
import pandas as pd
import torch

import salver

torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)).eval()
table = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)), columns=["height", "width", "depth"])

salver.save(net, "boxes-pytorch", sample=table, classes=["small", "large"])

rows = table.head(20)
with torch.no_grad():
    places = net(torch.tensor(rows.to_numpy(), dtype=torch.float32)).argmax(1).tolist()
print(json.dumps({"rows": rows.to_dict("records"), "predictions": [["small", "large"][place] for place in places]}))
