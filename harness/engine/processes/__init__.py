"""Where a task runs: workers, pools of them, and what they may use."""
