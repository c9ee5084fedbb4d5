-- What is held and may have arrived can be found by when it was sent first.

CREATE INDEX deliveries_held_unknown ON deliveries (envelope, first_unknown_at)
    WHERE state = 'held' AND first_unknown_at IS NOT NULL;
