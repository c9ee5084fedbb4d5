"""The spool: events that a database elsewhere does not take wait on this node's own disk."""
