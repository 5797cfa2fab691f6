"""Nights with known truth, for the demo, tests and benchmarks."""

from roque.simulation.benchmark import benchmark_plan
from roque.simulation.eclipse import Eclipse, EclipseFit, eclipse_flux, fit_eclipse
from roque.simulation.night import NightTruth, simulate_night
from roque.simulation.plan import Detector, RunPlan, Star, WindowPlan
from roque.simulation.recovery import Recovery, recover_eclipses
from roque.simulation.run import simulate_run
from roque.simulation.truth import RunTruth

__all__ = [
    "Detector",
    "Eclipse",
    "EclipseFit",
    "NightTruth",
    "Recovery",
    "RunPlan",
    "RunTruth",
    "Star",
    "WindowPlan",
    "benchmark_plan",
    "eclipse_flux",
    "fit_eclipse",
    "recover_eclipses",
    "simulate_night",
    "simulate_run",
]
