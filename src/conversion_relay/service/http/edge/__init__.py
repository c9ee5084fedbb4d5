"""Where connections and bodies are taken, within bounds: nothing in here knows an event."""
