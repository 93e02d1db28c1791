"""Long trials of a real daemon, each a program with a short form in the tests."""
