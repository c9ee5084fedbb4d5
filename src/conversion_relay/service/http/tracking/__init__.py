"""Segment's HTTP Tracking API: the way in of Segment's own libraries."""
