"""TikTok: what an event looks like for its Events API 2.0, and what its answers mean."""
