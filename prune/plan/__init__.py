"""What will be cut: scores, policies and the plan, before anything is changed."""
