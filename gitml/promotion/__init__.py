"""How assets reach a stage: plan, policy, merge, rollback, history."""
