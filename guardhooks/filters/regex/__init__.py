"""What is known about a regex before it runs (literals, groups, complexity), and running it under a time limit."""
