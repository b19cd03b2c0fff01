"""What the instances of a process do, counted for the observers of a run."""

from dispel4py.engine.execution.metering.meter import Meter
from dispel4py.engine.execution.metering.reports import InstanceActivity, MeterReport, SlowestCall

__all__ = ["InstanceActivity", "Meter", "MeterReport", "SlowestCall"]
