"""Strict stand-ins for the ticketing tools: real HTTP, a clock moved by hand, faults on demand."""
