"""The producer's client for humancast. See :mod:`humancast.client`."""

from .client import Humancast, HumancastError, LiveSegment

__all__ = ["Humancast", "HumancastError", "LiveSegment"]
