"""A stand-in for TikTok's Events API: strict, countable, and able to fail in every known way.

For tests, demonstrations and staging. Shares no code with the destination it judges: otherwise
both could be wrong together.
"""

from conversion_relay.sandbox.app import TRACK_PATH, Sandbox, create_sandbox
from conversion_relay.sandbox.faults import KINDS, Fault, known_faults, parse_fault
from conversion_relay.sandbox.ledger import Conversion, payload_sha256
from conversion_relay.sandbox.server import running, running_in_thread, serve

__all__ = [
    "KINDS",
    "TRACK_PATH",
    "Conversion",
    "Fault",
    "Sandbox",
    "create_sandbox",
    "known_faults",
    "parse_fault",
    "payload_sha256",
    "running",
    "running_in_thread",
    "serve",
]
