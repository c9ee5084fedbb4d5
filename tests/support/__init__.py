"""What several tests share: servers on free ports, a clock to turn by hand, events of a shop."""
