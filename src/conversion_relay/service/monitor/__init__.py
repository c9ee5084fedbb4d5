"""Watches the flow: figures, the rules over them, and the alerts that open and resolve."""
