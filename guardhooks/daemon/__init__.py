"""The process around the guard: its start, its log, its signals, its memory."""
