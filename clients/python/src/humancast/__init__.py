"""The producer's client for humancast. See :mod:`humancast.client`."""

from .client import Humancast, HumancastError, Interrupted, LiveResult, LiveSegment, LiveStatus, Queued, Session

__all__ = ["Humancast", "HumancastError", "Interrupted", "LiveResult", "LiveSegment", "LiveStatus", "Queued", "Session"]
