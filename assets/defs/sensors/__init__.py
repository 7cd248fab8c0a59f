"""Sensors: what looks at the world every few seconds and starts work when there is some.

The daemon looks every 5 s. An interval of exactly 5 would miss every other look, so sensors
say less. Each body ends in well under two seconds, keeps its cursor when the chain or the
database is away, and says so.
"""
