"""What is known of a regex before it runs: literals, groups, cost."""
