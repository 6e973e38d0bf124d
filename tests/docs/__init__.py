"""Tests that run what the documentation says, and what they share."""
