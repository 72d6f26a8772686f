"""Flows: what follows a network's training in time, one file an integrator."""
