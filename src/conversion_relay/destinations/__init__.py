"""The partners, one package each. Pure: payloads in, request bodies and outcomes out."""
