"""Job kinds, keys, claim, heartbeat, finish and the rules of the planner."""
