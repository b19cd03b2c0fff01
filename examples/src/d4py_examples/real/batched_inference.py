"""Classifies points with a small neural network, many points in one call of the model.

A call of a model costs much the same for a hundred inputs as for one, so `Classify` overrides
`_process_batch` in place of `_process`: it gets as many points as are waiting, up to `batch_size`,
and returns one result for each.  The model is loaded once per instance, in `_preprocess`; here it
is the network that computes XOR (M. Minsky, S. Papert, *Perceptrons*, 1969).  It needs NumPy.

```console
$ dispel4py simple d4py_examples.real.batched_inference -i 4
Outputs: {'Classify1': {'output': [(0.05, 0.95, 'different'), (0.9, 0.85, 'alike'),
(0.95, 0.1, 'different'), (0.1, 0.15, 'alike')]}}
```
"""

from dispel4py.base import IterativePE, ProducerPE
from dispel4py.workflow_graph import WorkflowGraph

POINTS = [(0.05, 0.95), (0.9, 0.85), (0.95, 0.1), (0.1, 0.15)]


class Points(ProducerPE):
    """Sends one point in each call."""

    def __init__(self):
        super().__init__()
        self.number = 0

    def _process(self, inputs):
        self.number += 1
        return POINTS[(self.number - 1) % len(POINTS)]


class Classify(IterativePE):
    """Adds to each point whether its coordinates are alike."""

    batch_size = 256

    def _preprocess(self):
        import numpy as np

        self.hidden = np.array([[20.0, 20.0], [20.0, 20.0]]), np.array([-10.0, -30.0])
        self.output = np.array([20.0, -20.0]), -10.0

    def _process_batch(self, points):
        import numpy as np

        weights, bias = self.hidden
        hidden = _sigmoid(np.array(points) @ weights + bias)
        weights, bias = self.output
        scores = _sigmoid(hidden @ weights + bias)
        return [
            (*point, "different" if score > 0.5 else "alike")
            for point, score in zip(points, scores.tolist(), strict=True)
        ]


def _sigmoid(x):
    import numpy as np

    return 1.0 / (1.0 + np.exp(-x))


graph = WorkflowGraph()
graph.connect(Points(), "output", Classify(), "input")
