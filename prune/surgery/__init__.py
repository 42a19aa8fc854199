"""Carrying out a plan: a pure function from (NetDef, Weights, PrunePlan) to (NetDef, Weights)."""
