"""PEs that send arrays of 1 MiB, in a module of their own for workers that are not forked."""

import os
import signal

import numpy

from dispel4py import IterativePE, ProducerPE


class Arrays(ProducerPE):
    def __init__(self):
        super().__init__()
        self.number = 0

    def _process(self, inputs):
        self.number += 1
        return numpy.full(1 << 17, float(self.number))


class AddsInPlace(IterativePE):
    """Adds to an array, and is killed over some of them, once for each."""

    def __init__(self, folder=None):
        super().__init__()
        self.folder = folder

    def _process(self, data):
        number = int(data[0])
        data += 0.5
        if self.folder is not None and number % 10 == 5:
            try:
                os.mkdir(f"{self.folder}/{number}")
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return float(data.min()), float(data.max())
